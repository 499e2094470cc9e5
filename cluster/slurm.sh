#!/usr/bin/env bash
# One job on a Ray of its own, inside one Slurm allocation. What to change: cluster/README.md.
#   sbatch cluster/slurm.sh jobs/curate.py --config /shared/config.yaml
# Asked to leave (time limit, scancel --signal=TERM --batch, preemption), it commits what is in hand and is queued again.
#SBATCH --job-name=rdpt
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-node=1
#SBATCH --mem=64G
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@180
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

AGAIN=75 # the job's exit code for "the same command continues" (docs/reliability.md)

if [[ $# -eq 0 ]]; then
    echo "usage: sbatch cluster/slurm.sh jobs/NAME.py --config URI [key.sub=value ...]" >&2
    exit 2
fi
: "${SLURM_JOB_ID:?is not set: submit this script with sbatch}"
: "${SLURM_JOB_NODELIST:?}" "${SLURM_JOB_NUM_NODES:?}" "${SLURM_CPUS_PER_TASK:?}"
# shellcheck source=/dev/null
source "${RDPT_VENV:-.venv}/bin/activate"

# The token of this Ray: in a file that only we can read, on a file system that every node sees.
umask 077
mkdir -p "$HOME/.rdpt"
token="$HOME/.rdpt/ray-token-$SLURM_JOB_ID"
python -c 'import secrets; print(secrets.token_hex(32), end="")' >"$token"
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$token"
nodes=()
# shellcheck disable=SC2329 # the trap calls it
finish() {
    if [[ ${#nodes[@]} -gt 0 ]]; then
        kill "${nodes[@]}" 2>/dev/null || true
        wait "${nodes[@]}" || true
    fi
    rm -f "$token"
}
trap finish EXIT

# Ports by the job's number: two jobs may share a node.
port=$((20000 + SLURM_JOB_ID % 5000))
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
ip=$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address)
ip=${ip%% *}
export RAY_ADDRESS="$ip:$port"
resources=(--num-cpus="$SLURM_CPUS_PER_TASK" --disable-usage-stats --block)

srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" \
    ray start --head --node-ip-address="$ip" --port="$port" \
    --dashboard-host=127.0.0.1 --dashboard-port="$((port + 5000))" "${resources[@]}" &
nodes+=("$!")
for _ in {1..60}; do
    if ray health-check --address "$RAY_ADDRESS"; then break; fi
    sleep 2
done
ray health-check --address "$RAY_ADDRESS" || {
    echo "Ray's head on $head ($RAY_ADDRESS) did not answer within two minutes; its log is above" >&2
    exit 1
}
workers=$((SLURM_JOB_NUM_NODES - 1))
if ((workers > 0)); then
    srun --overlap --nodes="$workers" --ntasks="$workers" --exclude="$head" \
        ray start --address="$RAY_ADDRESS" "${resources[@]}" &
    nodes+=("$!")
fi

# The driver runs here, on the first node. A signal ends `wait` and not the driver, so wait until it is gone.
python "$@" &
driver=$!
trap 'kill -TERM "$driver" 2>/dev/null || true' TERM
while kill -0 "$driver" 2>/dev/null; do
    wait "$driver" || true
done
code=0
wait "$driver" || code=$?

if [[ $code -eq $AGAIN ]]; then
    scontrol requeue "$SLURM_JOB_ID" || echo "run the same command again to continue" >&2
fi
exit "$code"
