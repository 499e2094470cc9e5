"""Whether a store is as quiet as it was: sessions that appear, or beat again, after a first look."""

from collections.abc import Collection

from rdpt_ray.errors import StoreError
from rdpt_ray.storage.damage import parsed_json
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.places import place_of

Beats = dict[str, str]
"""Session file -> what it says of its life."""


def beats_of(root: Root) -> Beats:
    """Every session that has not ended.

    Raises:
        StoreError: if the store cannot be listed, or a record is damaged.
    """
    places = {name: place_of(name) for name in root.names("runs")}
    names = [name for name, place in places.items() if place and place.kind == "session"]
    found: Beats = {}
    for name, content in root.read_many(names).items():
        record, findings = parsed_json(root, name, content, dict)
        if findings:
            raise StoreError(
                f"{root.show(name)}: expected {findings[0][0]}, found {findings[0][1]}; `rdpt store"
                " verify` tells what to do"
            )
        if record.get("ended") is None:
            found[name] = f"{record.get('process')} {record.get('beat')}"
    return found


def is_quiet(root: Root, before: Beats, without: Collection[str]) -> bool:
    """Whether no session has appeared or beaten since.

    Args:
        root: The store.
        before: From `beats_of`.
        without: Files that do not count.

    Raises:
        StoreError: as `beats_of`.
    """
    now = beats_of(root)
    return all(before.get(name) == beat for name, beat in now.items() if name not in without)
