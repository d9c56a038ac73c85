"""Random runbooks: trees that a person could have written, with everything that a step can have."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from tests.runner.trees import Act, Block, Case, Command, File, Policy, Retry, Step, When, tags_below

_MAX_DEPTH = 3
_POLICIES: tuple[Policy, ...] = (True, (3,), (4, "OperationalError"), ("DatabaseError",), ("CommandError",), (124,))
_STATUSES = ("succeeded", "failed", "skipped", "timed_out", "not_run")
_TIMEOUTS = (5, 11, 23, 47)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Around:
    """``is_bounded``: a deadline ends what hangs. ``known`` are the steps that a condition can name."""

    depth: int = 0
    is_bounded: bool = False
    is_handler: bool = False
    is_alone: bool = True
    known: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()

    def below(self, **changes: Any) -> _Around:
        return replace(self, depth=self.depth + 1, **changes)


@dataclass(slots=True)
class _Drawer:
    draw: Any
    budget: int = 24
    is_real: bool = False
    _count: int = 0

    def one_of(self, *values: Any) -> Any:
        return self.draw(st.sampled_from(values))

    def is_rare(self, chances: int) -> bool:
        return bool(self.draw(st.integers(0, chances - 1)) == chances - 1)

    def id(self, letter: str) -> str:
        self._count += 1
        return f"{letter}{self._count}"

    def file(self, name: str, around: _Around) -> File:
        timeout = self.timeout()
        inside = replace(around, known=(), is_bounded=around.is_bounded or timeout is not None)
        block, _ = self.block(inside)
        return File(name=name, block=block, timeout=timeout)

    def block(self, around: _Around) -> tuple[Block, tuple[str, ...]]:
        """A sequential block, and the steps in it that what follows can name."""
        steps, known = self.steps(around)
        handlers = self.handlers(replace(around, known=known))
        return Block(steps=steps, fail_fast=not self.is_rare(4), **handlers), known

    def steps(self, around: _Around) -> tuple[tuple[Step, ...], tuple[str, ...]]:
        steps: list[Step] = []
        for _ in range(self.draw(st.integers(1, 4))):
            step, names = self.step(around)
            steps.append(step)
            around = replace(around, known=(*around.known, *names, step.id))
        return tuple(steps), around.known

    def handlers(self, around: _Around) -> dict[str, Any]:
        lists: dict[str, Any] = {}
        for key, reads in (("on_success", ()), ("on_failure", ("failed_step",)), ("finally_", ())):
            if not self.is_rare(3):
                continue
            inside = around.below(is_handler=True, is_bounded=False, is_alone=False, reads=("status", *reads))
            lists[key] = tuple(self.step(inside)[0] for _ in range(self.draw(st.integers(1, 2))))
        return lists

    def step(self, around: _Around) -> tuple[Step, tuple[str, ...]]:
        """A step, and the steps in it that what follows can name."""
        self.budget -= 1
        kind = "command" if around.depth >= _MAX_DEPTH or self.budget < 0 else self.kind()
        if kind == "command":
            return self.command(around), ()
        if kind == "race":
            return self.race(around), ()
        timeout = self.timeout()
        times = self.draw(st.integers(0, 3)) if self.is_rare(4) else None
        # The key of a parallel group bounds its branches; the items of a loop around it come in order.
        at_once = self.one_of(1, 1, 2, 3) if times and kind != "parallel" else 1
        inside = around.below(
            is_bounded=around.is_bounded or timeout is not None,
            is_alone=around.is_alone and at_once == 1 and kind != "parallel",
            reads=around.reads[:1],
        )
        names: tuple[str, ...] = ()
        body: Block | File
        if kind == "call":
            body = self.file(f"{self.id('file')}.yml", replace(inside, reads=()))
        elif kind == "parallel":
            body, names = self.parallel(inside)
        else:
            body, names = self.block(inside)
        step = Step(
            id=self.id(kind[0]),
            body=body,
            timeout=timeout,
            times=times,
            max_parallel=at_once,
            **self.settings(around, retry_chances=6),
        )
        return step, () if times is not None else names

    def timeout(self) -> int | None:
        """That of a group; real time may pass at any speed, and ends only what hangs."""
        return self.one_of(*_TIMEOUTS) if not self.is_real and self.is_rare(4) else None

    def kind(self) -> str:
        races = () if self.is_real else ("race",)
        return str(self.one_of("command", "command", "command", "group", "group", "parallel", "call", *races))

    def parallel(self, around: _Around) -> tuple[Block, tuple[str, ...]]:
        count = self.draw(st.integers(1, 4))
        drawn = [self.step(around) for _ in range(count)]
        at_once = self.one_of(None, 1, 1, 2)
        fail_fast = self.one_of(True, False, False)
        is_sure = not fail_fast or at_once == 1 or count == 1
        names = tuple(name for step, inner in drawn for name in (*inner, step.id)) if is_sure else ()
        known = (*around.known, *names)
        handlers = self.handlers(replace(around, known=known))
        steps = tuple(step for step, _ in drawn)
        return Block(steps=steps, is_parallel=True, max_parallel=at_once, fail_fast=fail_fast, **handlers), known

    def race(self, around: _Around) -> Step:
        """Draws a parallel group in which one branch fails while the others block."""
        inside = around.below(is_alone=False, reads=around.reads[:1], known=())
        name = self.id("race")
        at_once = self.draw(st.integers(2, 3))
        blocked = [self.blocked(name, inside) for _ in range(at_once - 1)]
        gate = Step(id=self.id("c"), body=Command(scripts=((f"gate {at_once - 1} {name}",),)))
        rest = [
            replace(self.command(replace(inside, is_bounded=False)), tags=())
            for _ in range(self.draw(st.integers(0, 2)))
        ]
        place = self.draw(st.integers(0, len(blocked)))
        steps = (*blocked[:place], gate, *blocked[place:], *rest)
        handlers = self.handlers(replace(inside, depth=around.depth))
        block = Block(
            steps=steps,
            is_parallel=True,
            is_race=True,
            max_parallel=at_once if rest or self.is_rare(2) else None,
            **handlers,
        )
        return Step(id=name, body=block, continue_on_error=self.policy())

    def blocked(self, race: str, around: _Around) -> Step:
        step = Step(id=self.id("c"), body=Command(scripts=((f"block {race}",),)))
        if not self.is_rare(3):
            return step
        after = Step(id=self.id("c"), body=Command(scripts=(("ok",),)))
        block = Block(steps=(step, after), **self.handlers(replace(around, depth=_MAX_DEPTH)))
        return Step(id=self.id("g"), body=block)

    def command(self, around: _Around) -> Step:
        return self.real_command(around) if self.is_real else self.played_command(around)

    def real_command(self, around: _Around) -> Step:
        script = self.one_of(
            ("ok",), ("ok",), ("ok",), ("ok",), ("ok",), ("exit 3",), ("exit 4",), ("exit 3", "ok"), ("hang",)
        )
        return Step(
            id=self.id("c"),
            body=Command(scripts=(script,), isolate=self.is_rare(3), reads=around.reads if script == ("ok",) else ()),
            timeout=1 if script == ("hang",) else None,
            **self.settings(around, retry_chances=3),
        )

    def played_command(self, around: _Around) -> Step:
        timeout = self.one_of(3, 7, 13) if self.is_rare(4) else None
        times = self.draw(st.integers(0, 3)) if self.is_rare(6) else None
        polls = self.is_rare(6)
        is_bounded = around.is_bounded or timeout is not None
        acts = ["ok", "ok", "ok", "ok", "exit 3", "exit 4", "OperationalError", "slow 2"]
        acts += ["hang", "slow 6"] * is_bounded + ["wait", "wait"] * polls
        acts += ["stop"] * (around.is_alone and times is None and self.is_rare(8))
        script = st.lists(st.sampled_from(acts), min_size=1, max_size=3).map(tuple)
        scripts: tuple[tuple[Act, ...], ...] = tuple(self.draw(st.lists(script, min_size=1, max_size=2)))
        command = Command(scripts=scripts, isolate=self.is_rare(8), polls=polls, reads=around.reads)
        return Step(
            id=self.id("c"),
            body=command,
            timeout=timeout,
            times=times,
            max_parallel=self.one_of(1, 1, 2, 3) if times else 1,
            **self.settings(around, retry_chances=3),
        )

    def settings(self, around: _Around, *, retry_chances: int) -> dict[str, Any]:
        settings: dict[str, Any] = {"continue_on_error": self.policy()}
        if self.is_rare(4):
            settings["when"] = self.when(around)
        if self.is_rare(retry_chances):
            errors = self.one_of(None, None, (3,), ("DatabaseError",), ("TimeoutError", 4))
            settings["retry"] = Retry(attempts=self.draw(st.integers(1, 3)), errors=errors)
        if not around.is_handler and self.is_rare(4):
            settings["tags"] = tuple(self.one_of(("red",), ("blue",), ("red", "blue")))
        return settings

    def policy(self) -> Policy:
        policy: Policy = self.one_of(*_POLICIES) if self.is_rare(4) else False
        return policy

    def when(self, around: _Around) -> When:
        if not around.known or self.is_rare(3):
            value = self.one_of(True, True, False)
            return When(text="params.yes" if value else "params.no", value=value)
        step_id, status = self.one_of(*around.known), self.one_of(*_STATUSES)
        return When(text=f'steps.{step_id}.status == "{status}"', step_id=step_id, status=status)


@st.composite
def cases(draw: Any, *, is_real: bool = False) -> Case:
    """A runbook with a command line; a real one is small, and its commands can be called."""
    drawer = _Drawer(draw, budget=5, is_real=True) if is_real else _Drawer(draw)
    file = drawer.file("main.yml", _Around())
    tags = sorted(tags_below(file))
    return Case(
        file=file,
        tags=(drawer.one_of(*tags),) if tags and drawer.is_rare(6) else (),
        skip_tags=(drawer.one_of(*tags),) if tags and drawer.is_rare(6) else (),
        keep_going=drawer.is_rare(6),
    )
