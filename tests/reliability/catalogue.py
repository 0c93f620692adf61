"""The 100 faults and the 15 guarantees, what happens here, and the tests that show it: `docs/reliability.md` is made of this.

`python -m tests.reliability.catalogue --write` writes the page. A row that no test shows says so, and why.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).resolve().parents[1]
PAGE = TESTS.parent / "docs" / "reliability.md"
R = "reliability/"
FRAMING, END, USAGE, CLOCKS = (
    R + "test_framing.py",
    R + "test_termination.py",
    R + "test_usage.py",
    R + "test_clocks.py",
)
BOUNDS, RETRIES, POINTS = R + "test_bounds.py", R + "test_retries.py", R + "test_points.py"
PROPERTIES, MACHINE, FUZZ = R + "test_properties.py", R + "test_machine.py", "fuzz/test_crashers.py"
NETWORK, PROCESSES, STAGES = R + "test_network.py", R + "test_processes.py", R + "test_stages.py"
SECRETS, ACCOUNTS, AIOHTTP = R + "test_secrets.py", R + "test_accounts.py", R + "test_aiohttp.py"
PROXY, LIFE, SAFE = "proxy/", "proxy/test_lifecycle.py", "proxy/test_security.py"
KEYS, TROUBLE, KILL = "proxy_keys/test_keys.py", "ledger/test_trouble.py", "ledger/test_kill.py"
SPELLINGS, HTTP = f"{FRAMING}::test_spellings_of_events", f"{FRAMING}::test_spellings_of_http"
CUTS = (f"{END}::test_cut_between_events", f"{END}::test_cut_within_events", f"{END}::test_whole_bodies_cut")
INSTEAD = f"{END}::test_something_else_instead"
SPLIT, RECORDED = (
    f"{PROPERTIES}::test_any_split_is_the_same_answer",
    f"{PROPERTIES}::test_random_splits_of_recordings",
)


class Row(NamedTuple):
    """One fault of the catalogue."""

    fault: str
    here: str
    tests: tuple[str, ...]
    limit: str = ""
    """What of it is not so, or is not shown."""


SAME = "the same events, the same usage"
SIE = "`StreamInterruptedError` with text and usage so far"

ROWS: dict[int, Row] = {
    # A. framing
    1: Row("every byte its own read", SAME, (SPELLINGS, HTTP, SPLIT)),
    2: Row("line ends of three kinds, mixed", SAME, (SPELLINGS, "test_sse.py::test_conformance")),
    3: Row("CR and LF in two reads", "one line end", (SPELLINGS, f"{PROPERTIES}::test_any_split_of_any_events", f"{FUZZ}::test_seeds")),
    4: Row("byte order mark", "stripped once, at the very beginning", (SPELLINGS, "test_sse.py::test_conformance")),
    5: Row("comments and pings", "passed over; they do not count as progress", (SPELLINGS, f"{CLOCKS}::test_noise_after_some_text")),
    6: Row("fields without a blank, without a colon, unknown", "read by the rules of server-sent events", (SPELLINGS, "test_sse.py::test_line_vectors")),
    7: Row("events without data", "no event", (SPELLINGS, "test_sse.py::test_conformance")),
    8: Row("JSON over several data lines", "joined", (SPELLINGS,)),
    9: Row("a character split over reads", "whole again", (HTTP, RECORDED)),
    10: Row("U+2028 and its like in JSON text", "no line end", (SPELLINGS, SPLIT)),
    11: Row("invalid UTF-8", "U+FFFD where the JSON around it can be read, and the answer goes on; an error of ours where not", ("anthropic/test_decode.py::test_text_that_is_no_unicode", "bedrock/test_answers.py::test_invalid_text_does_not_end_an_answer", f"{END}::test_broken_json_in_an_event")),
    12: Row("unfinished last event", "dropped, and then row 21", ("anthropic/test_decode.py::test_a_last_event_without_its_blank_line", f"{PROPERTIES}::test_any_split_of_a_cut_answer")),
    13: Row("gzip and deflate though identity was asked", "unpacked as it comes, no event held back; packed twice is refused by name", (HTTP, f"{FRAMING}::test_packed_events_are_not_held_back", f"{FRAMING}::test_packed_twice_is_refused", f"{FRAMING}::test_called_packed_and_is_not")),
    14: Row("no length, ended by close", "whole only with the terminator", (HTTP, *CUTS)),
    15: Row("100 and 103 before 200", "passed over", (HTTP,)),
    16: Row("new events and fields", "passed over, and kept within reach", ("bedrock/test_answers.py::test_unknown_events_and_fields_are_passed_over_but_not_lost", "anthropic/test_decode.py::test_deltas_without_a_name_here", "recordings/test_chat_format.py::test_answers")),
    17: Row("held after the terminator", "the answer is there at once; the connection has 100 ms to end too, or is closed", (f"{FRAMING}::test_held_after_the_terminator", f"{CLOCKS}::test_stall_after_the_terminator")),
    18: Row("NUL in id, retry of 20 digits", "passed over", (SPELLINGS, "test_sse.py::test_retry_field")),
    # B. termination
    19: Row("clean end in mid text", SIE, CUTS),
    20: Row("FIN in a chunk, reset, half-close", SIE + ", within 1 s", CUTS),
    21: Row("finish reason came, terminator did not", "whole where the server's profile allows it (any address but OpenAI's own), else " + SIE, (f"{END}::test_missing_terminator",)),
    22: Row("neither usage nor terminator", SIE + "; usage `missing`", (f"{END}::test_missing_terminator", f"{USAGE}::test_none_told")),
    23: Row("all came, then a reset", "a whole answer with its usage, one row", (f"{USAGE}::test_usage_survives", HTTP)),
    24: Row("error event in mid stream", "the error that it stands for, with its own status", (f"{END}::test_error_within_the_stream",)),
    25: Row("error event after usage", "the same; the usage is on the error and in the row", (f"{END}::test_error_within_the_stream", "test_usage_survives.py::test_on_the_chunk_that_breaks_off")),
    26: Row("broken JSON in an event", "`InvalidResponseError`; the row is kept", (f"{END}::test_broken_json_in_an_event", f"{FUZZ}::test_seeds")),
    27: Row("200 and nothing", "`StreamInterruptedError` (empty), a row without usage", (INSTEAD,)),
    28: Row("200 and an error in JSON", "the error that it stands for; its words are kept", (INSTEAD,)),
    29: Row("200 and a page", "`InvalidResponseError`, short and without keys", (INSTEAD,)),
    30: Row("malformed chunk header", "an error within 1 s, though aiohttp never wakes its reader", (f"{END}::test_chunk_header_that_is_no_number", f"{AIOHTTP}::test_bad_chunk", f"{END}::test_bad_chunk_beside_the_head"), "where it comes in one read with the head, aiohttp drops all of that read: usage told in it is `missing`"),
    31: Row("a length that lies", "an error, unless the terminator came first", (f"{END}::test_lengths_that_lie",)),
    32: Row("arguments of a call cut", "half a call is never handed out as a call", (f"{END}::test_half_a_call_is_no_call",)),
    33: Row("two reasons to stop", "the first one holds; text after it is handed on, for it is billed", (f"{R}test_two_reasons.py::test_the_first_reason_holds", f"{R}test_two_reasons.py::test_words_after_the_reason"), "nothing counts how often it happens"),
    34: Row("events out of order", "an answer or an error of ours, never another exception", (f"{PROPERTIES}::test_any_order_of_events_is_no_surprise", "anthropic/test_decode.py::test_no_order_of_events_is_a_surprise")),
    # C. usage
    35: Row("usage null on each chunk", "the real one", (f"{USAGE}::test_told_anywhere_and_often",)),
    36: Row("usage twice", "counted once", (f"{USAGE}::test_told_anywhere_and_often", f"{PROPERTIES}::test_reports_told_again")),
    37: Row("cumulative usage on every chunk", "the last one, not the sum", (f"{USAGE}::test_told_anywhere_and_often",)),
    38: Row("usage on the chunk that finishes", "kept", (f"{USAGE}::test_told_anywhere_and_often",)),
    39: Row("usage before the chunk that finishes", "kept", (f"{USAGE}::test_told_anywhere_and_often",)),
    40: Row("usage at the start only", "the prompt's counts are exact, the completion's are not known: `partial`", (f"{USAGE}::test_told_at_the_start_only",)),
    41: Row("null after a number", "the number stays", (f"{PROPERTIES}::test_reports_told_again",)),
    42: Row("cumulative input at the end too", "replaced, never added", ("usage/test_normalizer.py::test_anthropic_deltas_replace_and_never_add",)),
    43: Row("what the prompt count holds", "one rule for all: prompt = uncached + read + written", ("usage/test_reading.py::test_every_recorded_usage_of_every_provider", f"{PROPERTIES}::test_any_usage_is_a_sound_one")),
    44: Row("counts that are none", "usage `invalid`, no cost, the raw object kept; the answer itself is taken", (f"{USAGE}::test_what_is_no_count", f"{PROPERTIES}::test_any_usage_is_a_sound_one")),
    45: Row("keys told twice", "the last one", (f"{USAGE}::test_keys_told_twice",)),
    46: Row("more cached than sent", "never a cost below nothing", (f"{USAGE}::test_more_cached_than_sent",)),
    47: Row("no usage at all", "a row whose counts and cost are not known; nothing is estimated in their place", (f"{USAGE}::test_none_told",)),
    48: Row("a provider's own cost", "kept beside our price", ("pricing/test_billed.py::test_bills_are_kept_beside_our_price",)),
    49: Row("a model without a price", "cost `None` with the reason, never 0", ("test_client.py::test_unknown_model_has_no_price",)),
    50: Row("tiers and lifetimes; streamed as whole", "exact decimals, the same both ways", ("pricing/test_cost.py::test_service_tiers", f"{USAGE}::test_streamed_costs_as_whole")),
    51: Row("an answer repeated by a retry", "one row an attempt, the text once", (f"{USAGE}::test_one_row_for_each_attempt",)),
    # D. HTTP and retry
    52: Row("Retry-After in three forms", "waited for", (f"{RETRIES}::test_pauses_that_were_asked_for", f"{RETRIES}::test_pauses_by_the_clock")),
    53: Row("Retry-After of an hour", "`RateLimitError` at once, with what was asked", (f"{RETRIES}::test_an_hour_is_not_waited_for", f"{RETRIES}::test_an_hour_by_the_clock")),
    54: Row("Retry-After that makes no sense", "a pause of our own", (f"{RETRIES}::test_pauses_that_make_no_sense",)),
    55: Row("attempts counted in all", "1 + max_retries, never multiplied", (f"{RETRIES}::test_attempts_in_all",)),
    56: Row("what is never tried again", "one attempt", (f"{RETRIES}::test_attempts_in_all",)),
    57: Row("502 with a page", "status kept, message short", (f"{RETRIES}::test_page_of_a_gateway",)),
    58: Row("redirects", "`RedirectRefusedError`; neither key nor prompt go to the second place", (f"{RETRIES}::test_redirects",)),
    59: Row("413 before the body was read", "heard at once", (f"{RETRIES}::test_early_refusal_of_a_large_upload",)),
    60: Row("400 headers of 4 KB", "an error; they are not kept", (f"{BOUNDS}::test_flood_of_headers",)),
    61: Row("failure after the first content", "never tried again", (f"{RETRIES}::test_nothing_is_said_twice",)),
    62: Row("a storm of retries", "pauses are jittered by up to a half, attempts are limited; `Retry(share=0.1)` keeps retries to a tenth of the calls, and ten more", (f"{RETRIES}::test_a_storm_is_damped", "test_retry.py::test_own_waits_double_up_to_eight_seconds"), "the budget is not on by default"),
    63: Row("idempotency key", "none is sent", (), "no provider here documents one for completions, and OpenAI's SDK sends none; what is tried again had brought no content"),
    64: Row("expired AWS credentials", "renewed once, then `MissingCredentialsError`", ("bedrock/test_wire.py::test_expired_keys_are_renewed_once", "bedrock/test_credentials.py::test_a_refresh_that_fails_is_typed")),
    65: Row("a wrong clock", "named, and made good by the server's date", ("bedrock/test_wire.py::test_a_wrong_clock_is_named_and_made_good",)),
    # E. Bedrock
    66: Row("bad checksums", "an error at that frame; nothing of it is trusted", (f"{END}::test_damaged_frames", "bedrock/test_frames.py::test_negative_vectors")),
    67: Row("a length of 2 GB", "refused before anything is allocated", ("bedrock/test_answers.py::test_a_length_of_two_gigabytes_is_refused_at_once",)),
    68: Row("frames split at every byte", SAME, (f"{FRAMING}::test_frames_split_at_every_byte", "bedrock/test_frames.py::test_whole_streams_cut_at_every_byte")),
    69: Row("exception frames", "the error that they stand for", (f"{END}::test_error_within_the_stream", "bedrock/test_answers.py::test_the_vector_exceptions")),
    70: Row("JSON where frames were expected", "its own words are shown", (INSTEAD, "bedrock/test_answers.py::test_json_where_frames_were_expected")),
    71: Row("frames cut; no metadata", SIE + "; without metadata usage is `partial` or `missing`", (*CUTS, "bedrock/test_answers.py::test_without_metadata_the_answer_is_whole_and_its_usage_is_not")),
    # F. time
    72: Row("no head, ever", "`APITimeoutError` (first_event)", (f"{CLOCKS}::test_no_head",)),
    73: Row("a stall in mid stream", "`APITimeoutError` (idle), usage kept", (f"{CLOCKS}::test_noise_after_some_text", f"{CLOCKS}::test_frames_that_stop")),
    74: Row("one byte at a time", "the idle clock counts meaningful events", (f"{CLOCKS}::test_noise_after_some_text", f"{CLOCKS}::test_nothing_but_noise_at_first")),
    75: Row("pings for ever", "the same", (f"{CLOCKS}::test_noise_after_some_text", f"{CLOCKS}::test_nothing_but_noise_at_first")),
    76: Row("a slow reader", "uses up no time of the server's; the server is held back", (f"{CLOCKS}::test_slow_reader_uses_no_time_up", f"{BOUNDS}::test_stalled_readers")),
    77: Row("no name, refused, unreachable, swallowed", "`APIConnectionError` at once, or `APITimeoutError` (connect) at its limit", (f"{CLOCKS}::test_connections_that_are_not_made", f"{CLOCKS}::test_connection_that_nobody_accepts", f"{NETWORK}::test_unreachable", f"{NETWORK}::test_swallowed")),
    78: Row("TLS that is not trusted, or is none", "`APIConnectionError` with code `tls`, tried once, nothing sent; a handshake that is cut is tried again", (f"{CLOCKS}::test_certificate_of_nobody", f"{CLOCKS}::test_plain_text_where_tls_is_spoken", f"{NETWORK}::test_certificates", f"{NETWORK}::test_cut_handshake")),
    79: Row("the pool is full", "calls wait in the order they came; `APITimeoutError` (pool) at the limit", (f"{CLOCKS}::test_waiting_for_a_place", "test_transport.py::test_pool_has_its_own_phase", f"{POINTS}::test_waiting_for_a_place", f"{POINTS}::test_a_full_pool")),
    80: Row("a stale connection", "costs no call", (f"{CLOCKS}::test_stale_connections",)),
    # G. the caller
    81: Row("break", "the connection closes with the last reference, with a `ResourceWarning`; under `async with` at once", ("test_leaving.py::test_leaving_after_some_chunks", f"{MACHINE}::Calls")),
    82: Row("aclose, twice, from another task", "both ends are there at once, one row", (f"{POINTS}::test_two_tasks_close_one_stream",)),
    83: Row("cancelled at every await", "the cancellation goes through; no socket, no task, one row an attempt", ("test_leaving.py::test_cancellation_at_every_await", f"{POINTS}::test_every_path", f"{POINTS}::test_the_other_wires", f"{POINTS}::test_retries", f"{POINTS}::test_a_ledger", f"{R}test_proxy_points.py::test_handler")),
    84: Row("scopes and task groups", "each catches its own cancellation and no other", ("test_leaving.py::test_cancel_scopes", "test_leaving.py::test_cancelled_task_group", f"{POINTS}::test_scopes_and_groups", f"{POINTS}::test_a_scope_within_the_loop")),
    85: Row("the caller raises between chunks", "closed, one row", ("test_leaving.py::test_leaving_after_some_chunks", f"{MACHINE}::Calls")),
    86: Row("a stream dropped unread", "closed by its finaliser, with a `ResourceWarning`, one row", ("test_stream.py::test_dropped_stream_closes_with_a_warning", "usage/test_recorder.py::test_an_answer_never_read_is_settled")),
    87: Row("another loop, threads, a fork", "`WrongEventLoopError`; threads share one loop; a forked child has connections of its own and leaves the parent's alone", ("test_transport.py::test_other_event_loop_is_refused", "test_client.py::test_synchronous_in_threads_beside_a_loop", f"{PROCESSES}::test_fork_while_an_answer_streams", f"{PROCESSES}::test_fork_and_the_shared_client", f"{PROCESSES}::test_fork_and_the_synchronous_call")),
    88: Row("the loop closes, the interpreter ends", "sockets close, each open answer is told once, nothing is printed", ("test_client.py::test_nothing_is_left_at_the_end", f"{PROCESSES}::test_loop_closes_under_open_streams", f"{PROCESSES}::test_interpreter_ends_under_open_streams", "ledger/test_trouble.py::test_a_program_that_just_ends_has_written_its_rows"), "an answer still open when the interpreter ends is told to no `on_usage`; a ledger has it as `unknown`"),
    89: Row("a stage or a recorder that fails", "its own error comes out; the socket closes, the attempt is told once", (f"{STAGES}::test_any_place_and_any_moment", "usage/test_recorder.py::test_a_recorder_that_fails_is_heard_of_and_breaks_nothing", "usage/test_normalizer.py::test_a_stage_outside_that_fails_at_the_end_hears_no_second_usage")),
    # H. process and ledger
    90: Row("SIGKILL at a random moment", "after a restart one row for each call that reached the wire: `settled` or `unknown`", (f"{KILL}::test_rows_after_kills_are_the_calls_of_the_simulators_log", "proxy/test_kills.py::test_a_proxy_is_killed_a_few_times")),
    91: Row("SIGTERM with open streams", "no more are taken, those open end within the limit, the rest get an error event and a row, exit 0", ("proxy/test_command.py::test_sigterm_with_fifty_open_streams", f"{LIFE}::test_shutdown_lets_answers_finish", f"{LIFE}::test_shutdown_has_a_limit", f"{LIFE}::test_shutdown_of_an_answer_that_has_not_begun")),
    92: Row("disk full, torn tail, failing database", "calls go on (or stop, `strict`), rows wait within a bound, the log says so; only what was torn is cut", (f"{TROUBLE}::test_a_full_disk_stops_no_call_and_loses_no_row", f"{TROUBLE}::test_a_torn_tail_is_cut_off", f"{TROUBLE}::test_memory_is_bounded_while_a_database_fails", f"{TROUBLE}::test_a_strict_ledger_refuses_what_it_cannot_write", f"{TROUBLE}::test_what_cannot_be_a_ledger_is_refused_at_once")),
    93: Row("two processes on one ledger file", "the second is refused; PostgreSQL may be shared", (f"{TROUBLE}::test_a_second_writer_of_one_file_is_refused", f"{TROUBLE}::test_two_processes_may_share_postgres")),
    # I. the proxy's edge
    94: Row("the client leaves, in any phase", "upstream is hung up on within 250 ms, or read to its end by a setting; one row", (f"{LIFE}::test_the_caller_leaves", f"{LIFE}::test_an_answer_is_drained_by_a_setting", f"{R}test_proxy_points.py::test_handler")),
    95: Row("the client stops reading", "bounded memory, then cut off", (f"{LIFE}::test_a_caller_who_does_not_read",)),
    96: Row("slow heads, idle connections, slow bodies", "closed, each in its time", (f"{SAFE}::test_slow_heads_and_idle_connections_are_closed", f"{SAFE}::test_slow_bodies_are_refused")),
    97: Row("smuggling", "400 and the end; nothing of it on a log", (f"{SAFE}::test_smuggling",)),
    98: Row("bodies too large, too deep, or read in two ways", "413 or 400, before anything is asked upstream", (f"{SAFE}::test_bodies_that_are_refused", f"{SAFE}::test_64_megabytes", f"{SAFE}::test_gzip_bomb"), "what two readers could read differently is refused instead of written anew: members keep their bytes, for the sake of the cache"),
    99: Row("wrong keys, their timing, logs", "one answer to all, no echo, no canary anywhere", (f"{KEYS}::test_every_route_is_shut_to_every_wrong_key", f"{KEYS}::test_wrong_keys_take_the_same_time", f"{SAFE}::test_nothing_secret_gets_out", "proxy/test_chat.py::test_wrong_keys")),
    100: Row("addresses from the body, CORS, script by name, bad configuration", "400, nothing is fetched; text only under a strict policy; exit 2 before binding, with file, line and key", (f"{SAFE}::test_requests_do_not_say_where", f"{SAFE}::test_routes_are_those_that_were_reviewed", f"{SAFE}::test_web_pages_may_not_ask_without_a_key", "proxy_page/test_access.py::test_hostile_names_are_text", "proxy_page/test_access.py::test_what_a_browser_may_do_with_the_page", "proxy/test_config.py::test_errors_say_where", "proxy/test_command.py::test_a_bad_file_is_exit_code_2_before_binding")),
}  # fmt: skip

GROUPS = {
    1: "Framing", 19: "Termination", 35: "Usage", 52: "HTTP and retries", 66: "Bedrock's frames", 72: "Time",
    81: "The caller", 90: "Processes and the ledger", 94: "The proxy's edge",
}  # fmt: skip


def main() -> None:
    from .page import render

    page = render()
    if "--write" in sys.argv:
        PAGE.write_text(page, encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != page:
        sys.exit("docs/reliability.md is not what the catalogue says: run it with --write")


if __name__ == "__main__":
    main()
