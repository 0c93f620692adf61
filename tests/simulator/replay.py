"""Replays the recorded conversations through the cache engine: what it says against what the provider counted."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec

from asynccache.simulator.anthropic_prompt import anthropic_prompt
from asynccache.simulator.cache import PrefixCache
from asynccache.simulator.chat_prompt import spoken_blocks
from asynccache.simulator.converse_prompt import converse_prompt
from asynccache.simulator.deepseek_wire import deepseek_prompt
from asynccache.simulator.openai_request import openai_prompt
from asynccache.simulator.prompt import Block, Prompt
from asynccache.simulator.rules import BEDROCK_MINIMUM, CacheRule, anthropic_rule, deepseek_rule, openai_rule
from asynccache.simulator.trail import Point, extended, fine_trail

# Why a turn cannot be judged by the rules alone. Each reason is checked against the recording, never against the outcome
# of the prediction only.
NO_BODY = "the request was not recorded (empty or elided)"
SERVER_LOOP = (
    "server tools: the server's own loop writes and reads 5m breakpoints within the turn (wire.md 1.2)"
)
WARM = "first sight of this beginning, and a hit: it was written before the recording began (nobody reads what was not written)"
MORE = "count only: read more than any recorded turn has in common with it, so an unrecorded one had more"
SLOW = "count only: best effort (wire.md 4.2): the newest unit was not built in time, an older one of this conversation was read"
ESTIMATED = "count only: the common part ends where no recorded length ends (inside a changed prompt)"
NO_RULE = "not a wire of the simulator"


_WIRES = (
    ("openai", "chat"),
    ("anthropic", "messages"),
    ("deepseek", "chat"),
    ("bedrock", "converse"),
    ("bedrock", "invoke"),
)


class Turn(msgspec.Struct, kw_only=True):
    """One recorded turn, predicted and judged."""

    case: str
    provider: str
    index: int
    read: int
    written: int
    said_read: int = 0
    said_written: int = 0
    why: str = ""
    listed: str | None = None
    count_listed: str | None = None

    @property
    def hit(self) -> bool:
        return self.read > 0

    @property
    def right(self) -> bool:
        return self.hit == (self.said_read > 0)

    @property
    def counts_right(self) -> bool:
        step = 1 if self.provider in ("anthropic", "bedrock") else 128
        return abs(self.read - self.said_read) < step and abs(self.written - self.said_written) < step


class Case(msgspec.Struct, kw_only=True):
    """A recording and its ground truth."""

    id: str
    provider: str
    api: str
    model: str
    body: dict[str, Any]
    elided: bool
    looped: bool
    truth: dict[str, Any]
    tags: list[str]


class Past:
    """What the earlier turns of a conversation have shown."""

    def __init__(self) -> None:
        self.cache = PrefixCache()
        self.known: dict[bytes, int] = {}
        self._ends: dict[bytes, bool] = {}
        self._lengths: list[int] = []

    def common(self, trail: list[Point]) -> tuple[int, bool]:
        """How much of a prompt was seen before, and whether that ends where a recorded prompt or answer ended."""
        common, ended = 0, True
        for point in trail:
            if point.digest not in self._ends:
                break
            common, ended = point.tokens, self._ends[point.digest]
        return common, ended

    def units(self, step: int) -> set[int]:
        """The lengths of the earlier prompts, in whole steps."""
        return {length // step * step for length in self._lengths}

    def note(self, prompt: list[Point], answered: list[Point]) -> None:
        """Remembers a prompt, and the answer behind it."""
        for trail in (prompt, answered):
            for point in trail:
                self._ends.setdefault(point.digest, False)
            self._ends[trail[-1].digest] = True
        self._lengths.append(prompt[-1].tokens)


def load(recordings: Path, provider: str, api: str, name: str) -> Case:
    path = recordings / provider / api / f"{name}.json"
    recorded = json.loads(path.read_text())
    truth = json.loads(path.with_suffix(".expected.json").read_text())
    body = recorded["request"]["body"]
    return Case(
        id=name,
        provider=provider,
        api=api,
        model=recorded["model"] or "",
        body=body if isinstance(body, dict) else {},
        elided=bool(recorded["request"].get("body_elided")),
        looped="server_tool_use"
        in _answer_text(recorded).replace('"server_tool_use":{', "").replace('"server_tool_use": {', ""),
        truth=truth,
        tags=recorded.get("tags") or [],
    )


def _answer_text(recorded: dict[str, Any]) -> str:
    """The answer's own text: a `server_tool_use` block in it shows that the server looped."""
    body = recorded.get("response_body")
    return body if isinstance(body, str) else json.dumps(body)


def spoken(case: Case) -> bool:
    """Whether the simulator has rules for this wire (OpenRouter: its OpenAI models only)."""
    if case.provider == "openrouter":
        return case.api == "chat" and case.model.startswith("openai/")
    return (case.provider, case.api) in _WIRES


def reads(case: Case) -> tuple[Prompt, CacheRule]:
    """What the engine is given of a recorded body."""
    model = case.model.removeprefix("openai/")
    body = {**case.body, "model": case.body.get("model") or model}
    if case.provider == "openrouter":
        body["model"] = model
    if case.provider in ("openai", "openrouter"):
        return openai_prompt(body, "k"), openai_rule(model)
    if case.provider == "deepseek":
        return deepseek_prompt(body, "k"), deepseek_rule(model)
    if case.provider == "anthropic":
        return anthropic_prompt(body, "k"), anthropic_rule(model)
    if case.api == "invoke":
        return anthropic_prompt(body, "k"), anthropic_rule(model, BEDROCK_MINIMUM)
    return converse_prompt(case.body, model, "k"), anthropic_rule(model, BEDROCK_MINIMUM)


def output(case: Case, rule: CacheRule, known: dict[bytes, int]) -> tuple[Block, ...]:
    """What the model said, as it stands in the next request, with the recorded length."""
    if rule.kind not in ("automatic", "units"):
        return ()
    truth = case.truth
    calls = [
        {"function": {"name": call["name"], "arguments": call["arguments"]}}
        for call in truth.get("tool_calls") or ()
    ]
    message = {
        "role": "assistant",
        "content": truth.get("text") or "",
        "reasoning_content": truth.get("thinking"),
        "tool_calls": calls,
    }
    blocks = spoken_blocks(message, reasoning=rule.kind == "units")
    usage = truth["usage"]
    kept = rule.kind == "units" and bool(calls)
    length = (usage.get("output_tokens") or 0) - (0 if kept else usage.get("reasoning_tokens") or 0)
    return tuple(_shared_out(list(blocks), length, known))


def measured(prompt: Prompt, *, to_mark: int, rest: int, known: dict[bytes, int]) -> Prompt:
    """The prompt with the recorded lengths: `to_mark` up to the last breakpoint, `rest` behind it.

    A block keeps the length that it had in an earlier turn; what is new shares what is left, by our estimate.
    """
    blocks = list(prompt.blocks)
    marks = [index for index, block in enumerate(blocks) if block.lifetime is not None]
    cut = marks[-1] + 1 if marks and to_mark else 0
    before, after = blocks[:cut], blocks[cut:]
    if not cut:
        rest, to_mark = rest + to_mark, 0
    made = _shared_out(before, to_mark, known) + _shared_out(after, rest, known)
    if rest and not after:
        made.append(Block(content=b"<|answer|>", tokens=rest))
    return msgspec.structs.replace(prompt, blocks=tuple(made))


def _shared_out(blocks: list[Block], total: int, known: dict[bytes, int]) -> list[Block]:
    fresh = [block for block in blocks if block.content not in known]
    left = total - sum(known.get(block.content, 0) for block in blocks)
    weight = sum(block.tokens for block in fresh) or 1
    made: list[Block] = []
    weighed = given = 0
    for block in blocks:
        if block.content in known:
            made.append(msgspec.structs.replace(block, tokens=known[block.content]))
            continue
        weighed += block.tokens
        tokens = max(left, 0) * weighed // weight - given
        given += tokens
        known[block.content] = tokens
        made.append(msgspec.structs.replace(block, tokens=tokens))
    over = total - sum(block.tokens for block in made)
    if made and over:
        made[-1] = msgspec.structs.replace(made[-1], tokens=max(0, made[-1].tokens + over))
    return made


def replay_group(recordings: Path, group: dict[str, Any]) -> list[Turn]:
    """Every turn of one conversation, predicted in order and judged."""
    past = Past()
    turns: list[Turn] = []
    for index, name in enumerate(group["cases"]):
        case = load(recordings, group["provider"], group["api"], name)
        turn = Turn(
            case=name,
            provider=case.provider,
            index=index,
            read=group["cache_read"][index] or 0,
            written=group["cache_write"][index] or 0,
        )
        turns.append(turn)
        if not spoken(case):
            turn.listed = NO_RULE
            continue
        if case.elided or not case.body.get("messages"):
            turn.listed = NO_BODY
        if case.body.get("messages"):
            _judge(turn, case, reads(case), past)
    return turns


def _judge(turn: Turn, case: Case, found: tuple[Prompt, CacheRule], past: Past) -> None:
    prompt, rule = found
    total = case.truth["usage"].get("input_tokens_total") or 0
    marked = rule.kind in ("marked", "breakpoints")
    cached = turn.read + turn.written if marked else 0
    prompt = measured(prompt, to_mark=cached, rest=total - cached, known=past.known)
    verdict = past.cache.ask(prompt, rule, 10.0 * turn.index)
    turn.said_read, turn.said_written, turn.why = verdict.read, verdict.write_total, verdict.why
    said = output(case, rule, past.known)

    trail = fine_trail(prompt)
    common, ended = past.common(trail)
    turn.listed = turn.listed or _reason(turn, case, rule, common)
    if turn.read > common:
        turn.count_listed = MORE
    elif rule.kind == "units" and turn.read < turn.said_read and turn.read in past.units(rule.step):
        turn.count_listed = SLOW
    elif not ended and not marked:
        turn.count_listed = ESTIMATED

    past.note(trail, extended(prompt, said))
    past.cache.begin(verdict)
    past.cache.finish(prompt, rule, verdict, said)


def _reason(turn: Turn, case: Case, rule: CacheRule, common: int) -> str | None:
    if case.looped:
        return SERVER_LOOP
    if turn.hit and common < rule.minimum:
        return WARM
    return None


def replay(recordings: Path) -> list[Turn]:
    """Every turn of every recorded conversation of `sequences.json`."""
    groups = json.loads((recordings / "sequences.json").read_text())
    return [turn for group in groups for turn in replay_group(recordings, group)]


def replay_others(recordings: Path) -> list[Turn]:
    """Every other cassette with two or more answers: mostly short prompts, and so misses that the rules must explain."""
    taken = {group["group"] for group in json.loads((recordings / "sequences.json").read_text())}
    groups: dict[tuple[str, str, str], list[tuple[int, str, dict[str, Any]]]] = defaultdict(list)
    for provider, api in (
        ("openai", "chat"),
        ("anthropic", "messages"),
        ("deepseek", "chat"),
        ("bedrock", "converse"),
    ):
        for path in (recordings / provider / api).glob("*.json"):
            if path.name.endswith(".expected.json"):
                continue
            recorded = json.loads(path.read_text())
            usage = json.loads(path.with_suffix(".expected.json").read_text()).get("usage") or {}
            fit = (
                recorded["status"] == 200
                and recorded["authenticity"] == "recorded"
                and not usage.get("inconsistent")
            )
            if fit and usage.get("input_tokens_total") and recorded["group"] not in taken:
                groups[provider, api, recorded["group"]].append((recorded["interaction"], path.stem, usage))
    turns: list[Turn] = []
    for (provider, api, _), rows in sorted(groups.items()):
        rows.sort(key=lambda row: row[0])
        group = {
            "provider": provider,
            "api": api,
            "cases": [name for _, name, _ in rows],
            "cache_read": [usage.get("cache_read_tokens") for *_, usage in rows],
            "cache_write": [usage.get("cache_write_tokens") for *_, usage in rows],
        }
        turns += replay_group(recordings, group) if len(rows) > 1 else []
    return turns


def table(turns: list[Turn]) -> str:
    """The result as a Markdown table; `strict` excuses nothing that was replayed."""
    rows = [
        (
            "| provider | turns | hits right | misses right | of these after the first turn | strict, nothing excused "
            "| counts exact | turns listed | counts listed |"
        ),
        "|---|---|---|---|---|---|---|---|---|",
    ]
    by: dict[str, list[Turn]] = defaultdict(list)
    for turn in turns:
        if turn.listed != NO_RULE:
            by[turn.provider].append(turn)
    for provider in [*sorted(by), "all"]:
        mine = by[provider] if provider != "all" else [turn for some in by.values() for turn in some]
        fair = judged(mine)
        misses = [turn for turn in fair if not turn.hit]
        counted = [turn for turn in fair if turn.count_listed is None]
        rows.append(
            f"| {provider} | {len(mine)} | {_of([turn for turn in fair if turn.hit])} | {_of(misses)} "
            f"| {_of([turn for turn in misses if turn.index])} | {_of([t for t in mine if t.listed != NO_BODY])} "
            f"| {sum(turn.counts_right for turn in counted)}/{len(counted)} | {len(mine) - len(fair)} "
            f"| {len(fair) - len(counted)} |"
        )
    return "\n".join(rows)


def judged(turns: list[Turn]) -> list[Turn]:
    """The turns that the rules must get right."""
    return [turn for turn in turns if turn.listed is None]


def _of(turns: list[Turn]) -> str:
    return f"{sum(turn.right for turn in turns)}/{len(turns)}"


def report(turns: list[Turn]) -> str:
    """The table, what is wrong in it, and every listed turn with the rule that excuses it."""
    lines = [table(turns), ""]
    for turn in turns:
        numbers = f"{turn.case}: said {turn.said_read}/{turn.said_written}, was {turn.read}/{turn.written}"
        if turn.listed is None and turn.count_listed is None and not (turn.right and turn.counts_right):
            lines.append(f"- {'COUNT' if turn.right else 'WRONG'} {numbers} ({turn.why})")
        excuse = turn.listed or turn.count_listed
        if excuse not in (None, NO_RULE):
            lines.append(f"- listed {numbers} | {excuse}")
    return "\n".join(lines)


if __name__ == "__main__":
    import sys

    from tests.shared import shared

    where = shared("recordings")
    sys.stdout.write(
        f"sequences (read/written)\n\n{report(replay(where))}\n\nothers\n\n{report(replay_others(where))}\n"
    )
