"""The catalogue of faults, row by row: the tests that cover each, or why none does.

Rows 90 to 100 are the ledger's and the proxy's, and have their table there.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
R = "reliability/"
FRAMING, END, USAGE, CLOCKS = (
    R + "test_framing.py",
    R + "test_termination.py",
    R + "test_usage.py",
    R + "test_clocks.py",
)
BOUNDS, RETRIES, POINTS = R + "test_bounds.py", R + "test_retries.py", R + "test_points.py"
PROPERTIES, MACHINE, FUZZ = R + "test_properties.py", R + "test_machine.py", "fuzz/test_crashers.py"
SPELLINGS, HTTP = f"{FRAMING}::test_spellings_of_events", f"{FRAMING}::test_spellings_of_http"
CUTS = (f"{END}::test_cut_between_events", f"{END}::test_cut_within_events", f"{END}::test_whole_bodies_cut")
INSTEAD = f"{END}::test_something_else_instead"

# row -> (the fault, the tests)
COVERED: dict[int, tuple[str, tuple[str, ...]]] = {
    1: ("every byte its own read", (SPELLINGS, HTTP, f"{PROPERTIES}::test_any_split_is_the_same_answer")),
    2: ("line ends of three kinds, mixed", (SPELLINGS, "test_sse.py::test_conformance")),
    3: ("CR and LF in two reads", (SPELLINGS, f"{PROPERTIES}::test_any_split_of_any_events", f"{FUZZ}::test_seeds")),
    4: ("byte order mark", (SPELLINGS, "test_sse.py::test_conformance")),
    5: ("comments and pings", (SPELLINGS, f"{CLOCKS}::test_noise_after_some_text")),
    6: ("fields without a blank, without a colon, unknown", (SPELLINGS, "test_sse.py::test_line_vectors")),
    7: ("events without data", (SPELLINGS, "test_sse.py::test_conformance")),
    8: ("JSON over several data lines", (SPELLINGS,)),
    9: ("a character split over reads", (HTTP, f"{PROPERTIES}::test_random_splits_of_recordings")),
    10: ("U+2028 in JSON text", (SPELLINGS, f"{PROPERTIES}::test_any_split_is_the_same_answer")),
    11: ("invalid UTF-8", ("anthropic/test_decode.py::test_text_that_is_no_unicode", "bedrock/test_answers.py::test_invalid_text_does_not_end_an_answer", f"{END}::test_broken_json_in_an_event")),
    12: ("unfinished last event", ("anthropic/test_decode.py::test_a_last_event_without_its_blank_line", f"{PROPERTIES}::test_any_split_of_a_cut_answer")),
    13: ("gzip and deflate though identity was asked", (HTTP, f"{FRAMING}::test_packed_events_are_not_held_back", f"{FRAMING}::test_packed_twice_is_refused", f"{FRAMING}::test_called_packed_and_is_not")),
    14: ("no length, ended by close", (HTTP, *CUTS)),
    15: ("100 and 103 before 200", (HTTP,)),
    16: ("new events and fields", ("bedrock/test_answers.py::test_unknown_events_and_fields_are_passed_over_but_not_lost", "anthropic/test_decode.py::test_deltas_without_a_name_here", "recordings/test_chat_format.py::test_answers")),
    17: ("held after the terminator", (f"{FRAMING}::test_held_after_the_terminator", f"{CLOCKS}::test_stall_after_the_terminator")),
    18: ("NUL in id, retry of 20 digits", (SPELLINGS, "test_sse.py::test_retry_field")),
    19: ("clean end in mid text", CUTS),
    20: ("FIN in a chunk, reset, half-close", CUTS),
    21: ("finish reason came, terminator did not", (f"{END}::test_missing_terminator",)),
    22: ("neither usage nor terminator", (f"{END}::test_missing_terminator", f"{USAGE}::test_none_told")),
    23: ("all came, then a reset", (f"{USAGE}::test_usage_survives", f"{HTTP}")),
    24: ("error event in mid stream", (f"{END}::test_error_within_the_stream",)),
    25: ("error event after usage", (f"{END}::test_error_within_the_stream",)),
    26: ("broken JSON in an event", (f"{END}::test_broken_json_in_an_event", f"{FUZZ}::test_seeds")),
    27: ("200 and nothing", (INSTEAD,)),
    28: ("200 and an error in JSON", (INSTEAD,)),
    29: ("200 and a page", (INSTEAD,)),
    30: ("malformed chunk header", (f"{END}::test_chunk_header_that_is_no_number", f"{CLOCKS}::test_bad_chunk_in_aiohttp_itself")),
    31: ("a length that lies", (f"{END}::test_lengths_that_lie",)),
    32: ("arguments of a call cut", (f"{END}::test_half_a_call_is_no_call",)),
    33: ("two reasons to stop", ("anthropic/test_decode.py::test_the_first_reason_holds",)),
    34: ("events out of order", ("anthropic/test_decode.py::test_no_order_of_events_is_a_surprise",)),
    35: ("usage null on each chunk", (f"{USAGE}::test_told_anywhere_and_often",)),
    36: ("usage twice", (f"{USAGE}::test_told_anywhere_and_often", f"{PROPERTIES}::test_reports_told_again")),
    37: ("cumulative usage on every chunk", (f"{USAGE}::test_told_anywhere_and_often",)),
    38: ("usage on the chunk that finishes", (f"{USAGE}::test_told_anywhere_and_often",)),
    39: ("usage before the chunk that finishes", (f"{USAGE}::test_told_anywhere_and_often",)),
    40: ("usage at the start only", (f"{USAGE}::test_told_at_the_start_only",)),
    41: ("null after a number", (f"{PROPERTIES}::test_reports_told_again",)),
    42: ("cumulative input at the end too", ("usage/test_normalizer.py::test_anthropic_deltas_replace_and_never_add",)),
    43: ("what the prompt count holds", ("usage/test_reading.py::test_every_recorded_usage_of_every_provider", f"{PROPERTIES}::test_any_usage_is_a_sound_one")),
    44: ("counts that are none", (f"{USAGE}::test_what_is_no_count", f"{PROPERTIES}::test_any_usage_is_a_sound_one")),
    45: ("keys told twice", (f"{USAGE}::test_keys_told_twice",)),
    46: ("more cached than sent", (f"{USAGE}::test_more_cached_than_sent",)),
    47: ("no usage at all", (f"{USAGE}::test_none_told",)),
    48: ("a provider's own cost", ("pricing/test_billed.py::test_bills_are_kept_beside_our_price",)),
    49: ("a model without a price", ("test_client.py::test_unknown_model_has_no_price",)),
    50: ("tiers and lifetimes; streamed as whole", ("pricing/test_cost.py::test_service_tiers", f"{USAGE}::test_streamed_costs_as_whole")),
    51: ("an answer repeated by a retry", (f"{USAGE}::test_one_row_for_each_attempt",)),
    52: ("Retry-After in three forms", (f"{RETRIES}::test_pauses_that_were_asked_for",)),
    53: ("Retry-After of an hour", (f"{RETRIES}::test_an_hour_is_not_waited_for",)),
    54: ("Retry-After that makes no sense", (f"{RETRIES}::test_pauses_that_make_no_sense",)),
    55: ("attempts counted in all", (f"{RETRIES}::test_attempts_in_all",)),
    56: ("what is never tried again", (f"{RETRIES}::test_attempts_in_all",)),
    57: ("502 with a page", (f"{RETRIES}::test_page_of_a_gateway",)),
    58: ("redirects", (f"{RETRIES}::test_redirects",)),
    59: ("413 before the body was read", (f"{RETRIES}::test_early_refusal_of_a_large_upload",)),
    60: ("400 headers of 4 KB", (f"{BOUNDS}::test_flood_of_headers",)),
    61: ("failure after the first content", (f"{RETRIES}::test_nothing_is_said_twice",)),
    64: ("expired AWS credentials", ("bedrock/test_wire.py::test_expired_keys_are_renewed_once", "bedrock/test_credentials.py::test_a_refresh_that_fails_is_typed")),
    65: ("a wrong clock", ("bedrock/test_wire.py::test_a_wrong_clock_is_named_and_made_good",)),
    66: ("bad checksums", (f"{END}::test_damaged_frames", "bedrock/test_frames.py::test_negative_vectors")),
    67: ("a length of 2 GB", ("bedrock/test_answers.py::test_a_length_of_two_gigabytes_is_refused_at_once",)),
    68: ("frames split at every byte", (f"{FRAMING}::test_frames_split_at_every_byte", "bedrock/test_frames.py::test_whole_streams_cut_at_every_byte")),
    69: ("exception frames", (f"{END}::test_error_within_the_stream", "bedrock/test_answers.py::test_the_vector_exceptions")),
    70: ("JSON where frames were expected", (INSTEAD, "bedrock/test_answers.py::test_json_where_frames_were_expected")),
    71: ("frames cut; no metadata", (*CUTS, "bedrock/test_answers.py::test_without_metadata_the_answer_is_whole_and_its_usage_is_not")),
    72: ("no head, ever", (f"{CLOCKS}::test_no_head",)),
    73: ("a stall in mid stream", (f"{CLOCKS}::test_noise_after_some_text", f"{CLOCKS}::test_frames_that_stop")),
    74: ("one byte at a time", (f"{CLOCKS}::test_noise_after_some_text", f"{CLOCKS}::test_nothing_but_noise_at_first")),
    75: ("pings for ever", (f"{CLOCKS}::test_noise_after_some_text", f"{CLOCKS}::test_nothing_but_noise_at_first")),
    76: ("a slow reader", (f"{CLOCKS}::test_slow_reader_uses_no_time_up", f"{BOUNDS}::test_stalled_readers")),
    77: ("no name, refused, nobody accepts", (f"{CLOCKS}::test_connections_that_are_not_made", f"{CLOCKS}::test_connection_that_nobody_accepts")),
    78: ("TLS that is not trusted, or is none", (f"{CLOCKS}::test_certificate_of_nobody", f"{CLOCKS}::test_plain_text_where_tls_is_spoken")),
    79: ("the pool is full", (f"{CLOCKS}::test_waiting_for_a_place", "test_transport.py::test_pool_has_its_own_phase", f"{POINTS}::test_waiting_for_a_place")),
    80: ("a stale connection", (f"{CLOCKS}::test_stale_connections",)),
    81: ("break", ("test_leaving.py::test_leaving_after_some_chunks", f"{MACHINE}::Calls")),
    82: ("aclose, twice, from another task", (f"{POINTS}::test_two_tasks_close_one_stream",)),
    83: ("cancelled at every await", ("test_leaving.py::test_cancellation_at_every_await", f"{POINTS}::test_whole_answers", f"{POINTS}::test_retries", f"{POINTS}::test_errors")),
    84: ("scopes and task groups", ("test_leaving.py::test_cancel_scopes", "test_leaving.py::test_cancelled_task_group", f"{POINTS}::test_a_scope_within_the_loop")),
    85: ("the caller raises between chunks", ("test_leaving.py::test_leaving_after_some_chunks", f"{MACHINE}::Calls")),
    86: ("a stream dropped unread", ("test_stream.py::test_dropped_stream_closes_with_a_warning", "usage/test_recorder.py::test_an_answer_never_read_is_settled")),
    87: ("another loop, threads", ("test_transport.py::test_other_event_loop_is_refused", "test_client.py::test_synchronous_in_threads_beside_a_loop")),
    88: ("the interpreter ends", ("test_client.py::test_nothing_is_left_at_the_end",)),
    89: ("a stage or a recorder that fails", ("usage/test_recorder.py::test_a_recorder_that_fails_is_heard_of_and_breaks_nothing", "usage/test_normalizer.py::test_a_stage_outside_that_fails_at_the_end_hears_no_second_usage")),
}  # fmt: skip

OPEN: dict[int, str] = {
    62: "not promised: there is a jitter and a limit to attempts, but no budget over all calls of a client",
    63: "not promised: no idempotency key is sent; only what failed before any content is tried again",
}
# Parts of covered rows that no test shows.
PARTLY: dict[int, str] = {
    33: "text after the finish reason is passed on, not counted",
    77: "an unreachable network needs a namespace of its own; a full queue stands in for a lost SYN",
    78: "wrong name, expired and a cut handshake take the same way as self-signed and are not set up",
    87: "a fork with open connections",
    88: "streams open while their loop closes",
}


def names_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    }


def test_every_row_is_accounted_for() -> None:
    """Rows 1 to 89 are each covered by tests, or open with a reason."""
    assert set(COVERED) | set(OPEN) == set(range(1, 90))
    assert not set(COVERED) & set(OPEN)
    assert set(PARTLY) <= set(COVERED)


@pytest.mark.parametrize("row", COVERED)
def test_the_tests_are_there(row: int) -> None:
    """A row names tests that exist."""
    fault, tests = COVERED[row]
    assert fault
    assert tests
    for name in tests:
        path, _, test = name.partition("::")
        assert test in names_in(TESTS / path), name
