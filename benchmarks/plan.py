"""Does the time that `rdpt plan --calibrate` predicts come true? Two real jobs; minutes on two cores.

    python benchmarks/plan.py [--only demo,smollm2] [--rounds 1]

Each job is planned and calibrated, then run in a fresh store, and what its models took (the stages
`score ...` of the run's record, start-up of their pools included) is held against the plan. The last line is
one flat JSON object; a ratio is predicted / measured.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
JOBS = {"demo": "examples/demo.yaml", "smollm2": "examples/smollm2.yaml"}
SMOLLM2 = "examples/smollm2/prepare.py"
NEAR = 0.15
"""How far off a prediction may be."""

Figures = dict[str, float | bool | str | None]


def main() -> None:
    """Prints a line per model as it goes and, last, the figures as one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", help="jobs, separated by commas")
    parser.add_argument("--rounds", type=int, default=1, help="of each job; medians are told")
    arguments = parser.parse_args()
    wanted = arguments.only.split(",") if arguments.only else list(JOBS)
    unknown = sorted(set(wanted) - set(JOBS))
    if unknown:
        sys.exit(f"--only: no job {', '.join(unknown)}; there are {', '.join(JOBS)}")
    keys = ("predicted_s", "measured_s", "ratio", "worst_ratio")
    figures: Figures = {f"{name}_{key}": None for name in JOBS for key in keys}
    why = [f"not asked for: {name}" for name in JOBS if name not in wanted]
    load = busy()
    for name in wanted:
        try:
            figures |= job(name, arguments.rounds)
        except subprocess.CalledProcessError as error:
            why.append(f"{name}: {error.stderr.strip().splitlines()[-1][:300]}")
    if load > 0.5:
        why.append("others worked on this machine, and not evenly: its times tell little")
    ratios = [figures[f"{name}_ratio"] for name in wanted]
    known = [ratio for ratio in ratios if isinstance(ratio, float)]
    figures["load_per_cpu"] = load
    figures["within_15_percent"] = all(abs(one - 1) <= NEAR for one in known) if known else None
    figures["why"] = "; ".join(why) or None
    rounded = {k: round(v, 3) if isinstance(v, float) else v for k, v in figures.items()}
    print(f"\n{json.dumps(rounded)}")


def busy() -> float:
    """What others wanted of each CPU in the minute before: 0 on a machine of one's own."""
    return os.getloadavg()[0] / (os.cpu_count() or 1)


def job(name: str, rounds: int) -> Figures:
    """Plan and run one job, several times."""
    with tempfile.TemporaryDirectory() as folder:
        overrides = smollm2(Path(folder)) if name == "smollm2" else []
        pairs = [
            one_round(name, [*overrides, f"store={folder}/store-{number}"])
            for number in range(rounds)
        ]
    predicted, measured = zip(*pairs, strict=True)
    ratios = [ahead / behind for ahead, behind in pairs]
    return {
        f"{name}_predicted_s": statistics.median(predicted),
        f"{name}_measured_s": statistics.median(measured),
        f"{name}_ratio": statistics.median(ratios),
        f"{name}_worst_ratio": max(ratios, key=lambda ratio: abs(ratio - 1)),
    }


def one_round(name: str, overrides: list[str]) -> tuple[float, float]:
    """Seconds of scoring of all models, predicted and measured."""
    planned = rdpt("plan", JOBS[name], "--calibrate", "--json", *overrides)
    done = rdpt("curate", JOBS[name], "--json", *overrides)
    session = json.loads((Path(done["run"]) / "manifest.json").read_text())["sessions"][-1]
    predicted = {each["role"]: each["scoring_s"] for each in planned["calibrated"]}
    measured = {role: session["timings"][f"score {role}"] for role in predicted}
    for role, seconds in predicted.items():
        ratio = seconds / measured[role]
        print(
            f"{name} {role}: predicted {seconds:.1f} s, measured {measured[role]:.1f} s, {ratio:.3f}",
            flush=True,
        )
    return sum(predicted.values()), sum(measured.values())


def smollm2(folder: Path) -> list[str]:
    """Have the model: where `make demo-smollm2` leaves it, or made here; says where it is."""
    usual = REPOSITORY / "out" / "models" / "SmolLM2-135M-Instruct"
    if (usual / "model.safetensors").is_file():
        return []
    made = folder / "SmolLM2-135M-Instruct"
    command = [sys.executable, SMOLLM2, "--to", str(made)]
    subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return [f"models.teacher.model={made}"]


def rdpt(*arguments: str) -> dict[str, Any]:
    """Run the command; its last line is what it found."""
    command = [str(Path(sys.executable).parent / "rdpt"), *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
