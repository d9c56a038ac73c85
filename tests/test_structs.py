"""What our data classes can do, and what they refuse."""

from __future__ import annotations

import pickle

import pytest

from django_runbook.structs import MutableStruct, Struct, asdict, field, given_fields, replace


class Place(Struct):
    name: str
    size: int = 1
    tags: list[str] = field(default_factory=list)


class Room(Place):
    door: str


class Corner(Struct, kw_only=False):
    x: int
    y: int = 0


class Counter(MutableStruct):
    count: int = 0


def test_fields_are_keyword_only_in_each_subclass() -> None:
    assert Room(name="a", door="b").size == 1
    for kind in (Place, Room):
        with pytest.raises(TypeError, match="positional"):
            kind("a")  # type: ignore[call-arg]  # what the test is about
    assert Corner(2) == Corner(x=2, y=0)


def test_a_struct_never_changes_and_replace_makes_the_next_one() -> None:
    room = Room(name="a", door="b")
    with pytest.raises(AttributeError, match="immutable"):
        room.name = "c"  # type: ignore[misc]  # what the test is about
    assert replace(room, name="c") == Room(name="c", door="b")
    assert room.name == "a"
    with pytest.raises(TypeError, match="window"):
        replace(room, window="c")  # type: ignore[call-arg]  # what the test is about
    with pytest.raises(AttributeError):
        room.window = "c"  # type: ignore[attr-defined]  # what the test is about


def test_a_struct_is_equal_to_one_of_its_class_with_the_same_values() -> None:
    class Point(Struct, kw_only=False):
        x: int
        y: int = 0

    assert Corner(1) == Corner(1)
    assert Corner(1) != Point(1)  # type: ignore[comparison-overlap]  # what the test is about
    assert {Corner(1): "a"}[Corner(1)] == "a"


def test_each_struct_has_its_own_default_list() -> None:
    first, second = Place(name="a"), Place(name="b")
    first.tags.append("c")
    assert second.tags == []


def test_a_mutable_struct_changes_and_has_no_hash() -> None:
    counter = Counter()
    counter.count += 1
    assert counter == Counter(count=1)
    with pytest.raises(TypeError, match="unhashable"):
        hash(counter)


def test_a_struct_survives_pickling() -> None:
    room = Room(name="a", door="b", tags=["c"])
    assert pickle.loads(pickle.dumps(room)) == room
    assert asdict(room) == {"name": "a", "size": 1, "tags": ["c"], "door": "b"}


def test_given_fields_are_those_without_their_default() -> None:
    # A list could have been given empty, so it counts as given.
    assert dict(given_fields(Room(name="a", door="b"))) == {"name": "a", "tags": [], "door": "b"}
    assert dict(given_fields(Corner(3))) == {"x": 3}
