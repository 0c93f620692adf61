"""`docs/reliability.md`, rendered from the catalogue, the guarantees and the measured figures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from .catalogue import (
    ACCOUNTS,
    AIOHTTP,
    BOUNDS,
    CLOCKS,
    CUTS,
    END,
    FRAMING,
    GROUPS,
    INSTEAD,
    KEYS,
    KILL,
    LIFE,
    MACHINE,
    POINTS,
    PROPERTIES,
    RECORDED,
    RETRIES,
    ROWS,
    SAFE,
    SECRETS,
    SPLIT,
    STAGES,
    USAGE,
    R,
)

FIGURES = Path(__file__).with_name("figures.json")

Figures = dict[str, Any]


class Guarantee(NamedTuple):
    """One promise, with the figure that a test can refuse."""

    promise: str
    figure: str
    peers: str
    """From measurements of the peers that were made before this was written, with one oracle for all."""
    tests: tuple[str, ...]
    section: str = ""
    """Of the figures."""
    tell: Callable[[Any], str] = lambda _: ""
    limit: str = ""


def accounts(told: Any) -> str:
    return (
        f"{told['calls']:,} calls, {told['attempts on the wire']:,} attempts on the wire, {told['rows']:,} rows: "
        f"{told['missing']} missing, {told['doubled']} double, {told['false successes']} false successes "
        f"({told['rows'] - told['attempts on the wire']} rows are of attempts cancelled before their request was out)"
    )


def clocks(told: dict[str, float]) -> str:
    worst: dict[str, float] = {}
    for name, late in told.items():
        phase = name.partition(":")[0]
        worst[phase] = max(worst.get(phase, -1e9), late)
    listed = ", ".join(f"{phase} {late:g} ms" for phase, late in worst.items())
    return f"{len(told)} ways to make a clock of 300 ms fire, five times each; at worst after its limit: {listed}"


def leaving(told: dict[str, float]) -> str:
    return "seen by the server, at worst of 100: " + ", ".join(f"{way} {late:g} ms" for way, late in told.items())  # fmt: skip


def bounds(told: dict[str, Any]) -> str:
    parts = []
    for name, found in told.items():
        if name == "nothing":
            continue
        errors = ", ".join(f"`{error}`" for error in found["error"])
        parts.append(f"{name}: {errors}, +{found['memory, MB']:g} MB, lag {found['loop lag, ms']:g} ms")
    return "; ".join(parts) + f" (lag of an idle loop meanwhile: {told['nothing']['loop lag, ms']:g} ms)"


def pauses(told: dict[str, Any]) -> str:
    waited = ", ".join(f"{form}: {took:g} s" for form, (_, took) in told["waited"].items())
    hour = told["an hour, ms"]
    return f"waited {waited}; an hour refused after {hour['median']:g} ms (median of 41, worst {hour['worst']:g})"


def splits(told: dict[str, int]) -> str:
    return f"{told['splits']:,} random splits of {told['streams']} recorded streams, 0 differences"


def kills(told: list[str]) -> str:
    return "; ".join(told)


def soaked(told: dict[str, Any]) -> str:
    return (
        f"1,000 streams at once on one core, 40 events 0.2 s apart, 10 % faults: {told['wall_s']:g} s, "
        f"+{told['rss_most_mb'] - told['rss_before_mb']:.0f} MB, lag {told['lag_worst_ms']:g} ms at worst, {told['rows']} rows"
    )


def soaked_long(told: dict[str, Any]) -> str:
    return (
        f"{told['streams']:,} at once for ten minutes through the proxy and its ledger: {told['calls']:,} calls, "
        f"{told['rows']:,} rows; memory of the client {told['rss_slope_mb_per_min']:g} MB a minute, of the proxy "
        f"{told['proxy']['rss_slope_mb_per_min']:g}; lag {told['lag_p99_ms']:g} ms at p99"
    )


def points(told: dict[str, int]) -> str:
    return (
        f"{told['points']} suspension points in {told['runs']} runs, those of the proxy's handler among them"
    )


GUARANTEES: dict[int, Guarantee] = {
    1: Guarantee("Exactly one ledger row for each attempt that reached the wire, whatever ends it", "0 missing, 0 double of 10,000 calls with 10 % faults and 10 % cancels", "LiteLLM's SDK: no row at 40 of 40 points of cancellation", (f"{ACCOUNTS}::test_six_hundred_calls", f"{ACCOUNTS}::test_ten_thousand_calls", f"{POINTS}::test_a_ledger", f"{MACHINE}::Calls"), "accounts", accounts),
    2: Guarantee("… and over SIGKILL", "rows after a restart = calls in the simulator's log", "promised by none", (f"{KILL}::test_rows_after_kills_are_the_calls_of_the_simulators_log", "proxy/test_kills.py::test_a_proxy_is_killed_a_few_times", "proxy/test_kills.py::test_a_proxy_is_killed_200_times"), "kills", kills, "a row whose process died says `unknown`: what the provider billed nobody here can know"),
    3: Guarantee("Never a false success", "0 over cuts, empty bodies, pages and errors in JSON, on five wires, streamed and whole", "openai 5, anthropic 2, LiteLLM 3 + 3", (*CUTS, INSTEAD, f"{END}::test_missing_terminator", f"{END}::test_lengths_that_lie", f"{PROPERTIES}::test_any_split_of_a_cut_answer")),
    4: Guarantee("Usage is never invented; each number has its source", "0 unmarked; 11 kinds of counts that are none, refused on five wires", "LiteLLM 3 + 1 wrong of 12", (f"{USAGE}::test_what_is_no_count", f"{USAGE}::test_none_told", f"{USAGE}::test_told_at_the_start_only", f"{PROPERTIES}::test_any_usage_is_a_sound_one")),
    5: Guarantee("Usage survives whatever happens after it came", "reset, FIN, missing end, short chunk, stall, cancel, error event: all", "LiteLLM 4 of 5; the SDKs lose it to the exception", (f"{USAGE}::test_usage_survives", f"{USAGE}::test_usage_survives_leaving", f"{END}::test_error_within_the_stream", "test_usage_survives.py::test_on_what_had_been_said"), limit="what stood in one read with the head and a chunk header that is no number: row 30"),
    6: Guarantee("Cost is exact, never negative or absurd, the same streamed as whole", "every price row and every recorded bill; 20,000 drawn usages in the long run", "10²³ dollars; 830 EUR shown as 1.47 USD", ("pricing/test_cost.py::test_service_tiers", "pricing/test_billed.py::test_bills_are_kept_beside_our_price", f"{USAGE}::test_streamed_costs_as_whole", f"{PROPERTIES}::test_any_usage_is_a_sound_one")),
    7: Guarantee("Same bytes, same events", "all vectors of the standard; 0 wrong of 100,000 splits; no crash by fuzzing", "25 of 32 vectors", ("test_sse.py::test_conformance", SPLIT, RECORDED, f"{FRAMING}::test_spellings_of_events", "fuzz/test_crashers.py::test_seeds"), "splits", splits),
    8: Guarantee("Only exceptions of this library leave it", "0 others over all faults; those of the caller's own stages come out as they are", "anthropic 25, openai 9", (*CUTS, INSTEAD, f"{END}::test_damaged_frames", f"{BOUNDS}::test_json_nested_without_end", f"{STAGES}::test_any_place_and_any_moment")),
    9: Guarantee("Every wait ends", "each clock within max(10 %, 250 ms) of its limit", "3 to 7 hangs each", (f"{CLOCKS}::test_no_head", f"{CLOCKS}::test_noise_after_some_text", f"{CLOCKS}::test_the_whole_call", f"{CLOCKS}::test_connection_that_nobody_accepts", f"{CLOCKS}::test_clocks_by_the_clock", f"{END}::test_chunk_header_that_is_no_number"), "clocks", clocks),
    10: Guarantee("A stream that ends gives its connection back", "≤ 100 ms; 0 sockets left after every point of cancellation, a pool of three serves on", "openai: after a break only by the garbage collector", (f"{POINTS}::test_every_path", f"{POINTS}::test_scopes_and_groups", f"{POINTS}::test_a_full_pool", f"{POINTS}::test_connection_is_given_back_in_time", "test_leaving.py::test_cancellation_at_every_await"), "leaving", leaving),
    11: Guarantee("Memory has bounds, time is linear", "bomb, 64 MB event, endless line: an error, RSS + < 48 MB, loop lag < 100 ms", "+256 … +1536 MB, lag up to 16 s", (f"{BOUNDS}::test_event_without_an_end", f"{BOUNDS}::test_the_loop_runs_on", f"{BOUNDS}::test_event_of_64_mib", f"{BOUNDS}::test_time_is_linear_in_frames", f"{BOUNDS}::test_stalled_readers"), "bounds", bounds),
    12: Guarantee("Attempts are 1 + N in all, pauses are those that were asked for", "waited within 5 %; an hour refused in < 50 ms; nothing repeated after the first content", "0.02 s where 1 s was asked; an hour slept", (f"{RETRIES}::test_attempts_in_all", f"{RETRIES}::test_pauses_by_the_clock", f"{RETRIES}::test_an_hour_by_the_clock", f"{RETRIES}::test_nothing_is_said_twice"), "pauses", pauses),
    13: Guarantee("No key in logs, errors, reprs, metrics or second places; no prompt above DEBUG", "0 canaries found", "4 of 4 show a key that was echoed; a key to another origin", (f"{SECRETS}::test_no_key_is_shown", f"{SECRETS}::test_no_prompt_is_shown", f"{SECRETS}::test_keys_of_aws_are_not_shown", f"{SAFE}::test_nothing_secret_gets_out", "proxy_page/test_access.py::test_prompts_and_keys_stay_inside")),
    14: Guarantee("The proxy: a client that is gone, SIGTERM, budgets under concurrency", "upstream closed ≤ 250 ms in every phase; 50 of 50 streams drained; exactly 10 of 200 on a budget of 10", "LiteLLM: 1 of 3 phases; 10 of 10 drained; budgets overspent", (f"{LIFE}::test_the_caller_leaves", f"{R}test_proxy_points.py::test_handler", f"{LIFE}::test_shutdown_has_a_limit", "proxy/test_command.py::test_sigterm_with_fifty_open_streams", "proxy_keys/test_budgets.py::test_ten_of_two_hundred", f"{KEYS}::test_every_route_is_shut_to_every_wrong_key")),
    15: Guarantee("A soak", "no row lost or doubled, RSS slope < 1 MB/min, 1,000 streams in ≤ 12 s", "13 to 40 s, lag 1.7 to 7.9 s, +55 … +240 MB", ("soak/test_soak.py::test_300_streams",), "soak", soaked),
}  # fmt: skip


class Gap(NamedTuple):
    """What aiohttp does not do by itself, and what stands before it here."""

    gap: str
    guard: str
    probe: str
    tests: tuple[str, ...]


GAPS = (
    Gap("a chunk header that is no number leaves the reader of the body waiting for ever (C parser)", "the end of the connection wakes the reader", "test_bad_chunk", (f"{END}::test_chunk_header_that_is_no_number",)),
    Gap("`sock_read` counts bytes: drips and pings keep it off", "a clock of meaningful events", "test_noise", (f"{CLOCKS}::test_noise_after_some_text",)),
    Gap("`x-api-key` follows a redirect to another origin", "redirects are refused", "test_redirect", (f"{RETRIES}::test_redirects",)),
    Gap("unpacking has no limit", "a budget of bytes after unpacking", "test_bomb", (f"{BOUNDS}::test_event_without_an_end", f"{BOUNDS}::test_packed_body_of_one_piece")),
    Gap("a body without a length looks whole wherever it is cut", "the terminator decides", "test_clean_cut", CUTS),
    Gap("it waits for HTTP's end after the answer's", "nothing is read after the terminator", "test_silence_after_the_last_event", (f"{CLOCKS}::test_stall_after_the_terminator",)),
    Gap("a handler runs on when its caller is gone", "`handler_cancellation`", "test_caller_leaves", (f"{LIFE}::test_the_caller_leaves",)),
    Gap("a write to one who does not read waits for ever", "a deadline for each write", "test_caller_does_not_read", (f"{LIFE}::test_a_caller_who_does_not_read",)),
    Gap("half a head, or none, keeps a connection", "a timer for each connection", "test_slow_head", (f"{SAFE}::test_slow_heads_and_idle_connections_are_closed",)),
    Gap("smuggled requests are refused: kept so", "nothing of ours", "", (f"{SAFE}::test_smuggling",)),
    Gap("a request that cannot be parsed is quoted", "an error body and a log of our own", "test_bad_request", (f"{SAFE}::test_smuggling", f"{SAFE}::test_nothing_secret_gets_out")),
    Gap("`client_max_size` is kept: kept so", "it is set", "test_large_body", (f"{SAFE}::test_64_megabytes", f"{SAFE}::test_gzip_bomb")),
    Gap("`cleanup` cancels later than its limit says", "a drain with a clock of its own", "test_shutdown_limit", (f"{LIFE}::test_shutdown_has_a_limit",)),
)  # fmt: skip

HEAD = """\
# Reliability: what goes wrong, what happens then, and what shows it

Made by `python -m tests.reliability.catalogue --write` from [`tests/reliability/catalogue.py`](../tests/reliability/catalogue.py); a test
fails when this page is not what the catalogue says, or names a test that is not there. Nothing stands here that no
test shows; what is not kept is said in the row. All tests named run on every push, but for those that decide by a
clock or take minutes: `pytest -m slow tests/reliability`. Names of tests are relative to `tests/`.

Faults are real: a [relay](../asynccache/simulator/faults.py) in front of the simulator cuts, stalls, drips, resets, packs and lies on
real sockets, on five wires (OpenAI, Anthropic, DeepSeek, Bedrock's Converse and Invoke), streamed and whole.
"""


def names(tests: tuple[str, ...]) -> str:
    return "<br>".join(f"`{test}`" for test in dict.fromkeys(tests))


def guarantees(figures: Figures) -> str:
    lines = [
        "## The fifteen guarantees",
        "",
        PEERS,
        "",
        "| # | promised | figure | measured | peers | tests |",
        "|---|---|---|---|---|---|",
    ]
    for number, one in GUARANTEES.items():
        section = figures.get(one.section)
        if section is not None:
            measured = f"{one.tell(section['told'])}. `{section['command']}`, {section['day']}"
        elif one.section:
            measured = f"held by its tests; the long run has no figure yet: `python -m tests.reliability.measure {one.section}`"  # fmt: skip
        else:
            measured = "held by its tests"
        if number == 10 and "points" in figures:
            measured = f"{points(figures['points']['told'])}: 0 sockets left; " + measured
        if number == 15 and "soak_long" in figures:
            long = figures["soak_long"]
            measured += f"; {soaked_long(long['told'])}. `{long['command']}`, {long['day']}"
        limit = f" **Not so:** {one.limit}." if one.limit else ""
        lines.append(f"| {number} | {one.promise}.{limit} | {one.figure} | {measured} | {one.peers} | {names(one.tests)} |")  # fmt: skip
    return "\n".join(lines)


def catalogue() -> str:
    lines = ["## A hundred faults", "", "**Held** means that every test named passes. What follows it is what is not so, or not shown."]  # fmt: skip
    for number, row in ROWS.items():
        if number in GROUPS:
            lines += ["", f"### {GROUPS[number]}", "", "| # | fault | what happens here | result | tests |", "|---|---|---|---|---|"]  # fmt: skip
        result = "held" if row.tests else "**not promised**"
        result += f"; {row.limit}" if row.limit else ""
        lines.append(f"| {number} | {row.fault} | {row.here} | {result} | {names(row.tests)} |")
    return "\n".join(lines)


def gaps() -> str:
    lines = [
        "## What aiohttp does not do by itself",
        "",
        PROBES,
        "",
        "| by itself | the guard | its probe | the guard's tests |",
        "|---|---|---|---|",
    ]
    for one in GAPS:
        probe = f"`{AIOHTTP}::{one.probe}`" if one.probe else ""
        lines.append(f"| {one.gap} | {one.guard} | {probe} | {names(one.tests)} |")
    return "\n".join(lines)


PEERS = """\
The peers' figures are our own measurements, made before this was written, with one oracle and one set of faults for
all of them (openai 3.54.0, anthropic 2.12.0, LiteLLM 1.109.1; a timeout of 3 s and 2 retries asked of each).
Ours are of two cores that had nothing else to do where a clock decides. [peers.md](peers.md) is the newer
comparison, made by one command: `python -m tests.peers`."""
PROBES = """\
Seen in 3.14.5 and probed without our guards by `reliability/test_aiohttp.py`: when a later version learns one of
these, its probe says so. The guards are tested on every version."""
LIMITS = """\
## What nobody can promise

- A provider that does not say what it generated before a cancellation cannot be accounted exactly: the row says
  `partial` or `missing`. A proxy with `on_disconnect: drain` reads on, and knows, for the money of the rest.
- What a process used that was killed is `unknown`; budgets count what was reserved for it.
- A plain `break` closes the connection when the last reference to the stream goes; `async with` closes it at once.
- A caller who takes pings, comments and unknown events for progress will find our clocks strict: they do not.
"""


def render() -> str:
    """The whole page."""
    figures: Figures = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {}
    return "\n".join([HEAD, guarantees(figures), "", catalogue(), "", gaps(), "", LIMITS])
