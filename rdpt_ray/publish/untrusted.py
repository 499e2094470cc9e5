"""Text from a dataset is shown, never obeyed: what hides is made visible, what is too long is cut.

Escaping is the template's (autoescape is on); this is about what a browser or a terminal would act
on even when escaped: control characters, bidirectional overrides, invisible tags, lone surrogates.
"""

import re

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 without tab and line feed, DEL, C1
    "\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # bidi, invisible
    "\ud800-\udfff\ufffe\uffff\U000e0000-\U000e007f]"  # surrogates, non-characters, tags
)

WIDEST_MARK = len("<U+E0001>")
"""Characters that one hidden character can become."""


def visible(text: str) -> str:
    """The text with every character that hides or reorders replaced by its code, as in <U+202E>.

    Joiners and variation selectors stay, because emoji and many scripts need them; CRLF becomes LF.
    """
    return _HIDDEN.sub(lambda found: f"<U+{ord(found[0]):04X}>", text.replace("\r\n", "\n"))


def clip(text: str, limit: int) -> tuple[str, int]:
    """The beginning of a text made visible, and how many characters were left out.

    Returns:
        At most `limit` characters to be shown, and how many characters of `text` they leave out.
    """
    kept = text[:limit]
    shown = visible(kept)
    if len(shown) > limit:
        kept = text[: limit // WIDEST_MARK]
        shown = visible(kept)
    return shown, len(text) - len(kept)


def shorten(text: str, limit: int) -> str:
    """A label of at most `limit` characters on one line, ending in an ellipsis if it was cut."""
    shown, left_out = clip(text, limit - 1)
    return " ".join(shown.split()) + ("\u2026" if left_out else "")
