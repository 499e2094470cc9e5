"""Which envelope a chat template writes itself, found by rendering texts that are easy to find again."""

from collections.abc import Callable
from typing import Any

from rdpt_ray.scoring.encoding import TEMPLATE_FAULTS
from rdpt_ray.scoring.envelopes import ENVELOPES, NONE, THINK, Envelope, envelope_of, is_closed

Render = Callable[..., str]
"""Messages to text, as `TraceEncoder.render`."""

ASKED = {"role": "user", "content": "What is one and one?"}
REASONED = "One more than one."
ANSWERED = "It is two."
OPENERS = sorted({row.think_open.strip() for row in ENVELOPES.values() if row.think_open})


def probe_envelope(render: Render) -> Envelope:
    """What a template puts around reasoning and answer.

    In this order, the first that holds:

    1. The generation prompt ends with reasoning that is over (`enable_thinking: false`): none.
    2. A message with its reasoning in a field of its own is rendered with it: what then stands between the
       generation prompt, the reasoning and the answer. An answer alone shows what precedes it then.
    3. The generation prompt opens reasoning, or an earlier `<think>` block is cut out of a message's
       text: the template knows reasoning and drops it (DeepSeek-R1, QwQ). These write THINK.
    4. None.

    Args:
        render: The template, with the model's arguments and a fixed date. What it raises of
            TEMPLATE_FAULTS counts as an answer that says nothing.

    Returns:
        The envelope, by the name of its family where one is known.
    """
    prompt = _rendered(render, [ASKED], generation_prompt=True)
    if any(is_closed(prompt, row) for row in ENVELOPES.values()):
        return NONE
    fields = dict.fromkeys(("reasoning_content", "thinking", "reasoning"), REASONED)
    said = _said(render, ANSWERED, **fields)
    opened = next((text for text in OPENERS if prompt.rstrip().endswith(text)), "")
    before, _, after = said.partition(REASONED)
    between, answered, _ = after.partition(ANSWERED)
    shown_once = said.count(REASONED) == 1 and bool(
        answered
    )  # three: it shows all fields as they are
    if shown_once and prompt and before.startswith(prompt):
        opener = _from_last(prompt, opened) + before[len(prompt) :]
        alone = _said(render, ANSWERED).partition(ANSWERED)[0]
        fits = alone.startswith(prompt)
        answer_open = _from_last(prompt, opened) + alone[len(prompt) :] if fits else None
        return envelope_of((opener, between, answer_open), "template")
    inline = _said(render, f"{THINK.think_open}{REASONED}{THINK.think_close}{ANSWERED}")
    drops = ANSWERED in inline and REASONED not in inline
    return THINK if opened or drops else NONE


def _from_last(prompt: str, opened: str) -> str:
    """The end of a prompt, from the opener on that it ends with; nothing if it ends with none."""
    return prompt[prompt.rindex(opened) :] if opened else ""


def _said(render: Render, content: str, **fields: str) -> str:
    answer: dict[str, Any] = {"role": "assistant", "content": content, **fields}
    return _rendered(render, [ASKED, answer], generation_prompt=False)


def _rendered(render: Render, messages: list[dict[str, Any]], *, generation_prompt: bool) -> str:
    try:
        return render(messages, generation_prompt=generation_prompt)
    except TEMPLATE_FAULTS:
        return ""
