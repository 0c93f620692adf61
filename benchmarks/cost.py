"""How long `completion_cost` takes, ours and LiteLLM's, on the same answers in the same run.

pip install --no-deps litellm==1.109.1   # and what it imports: pip install litellm
LITELLM_LOCAL_MODEL_COST_MAP=True python benchmarks/cost.py
"""

from __future__ import annotations

import os
import statistics
import time

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

CASES = {
    "gpt-4o, a hit": ("gpt-4o", 2006, 300, 1920, 0),
    "gpt-5.6, a write": ("gpt-5.6", 2006, 300, 0, 1920),
    "claude-sonnet-4-5, a hit": ("anthropic/claude-sonnet-4-5", 2006, 300, 1920, 0),
    "claude-sonnet-4-5, a write": ("anthropic/claude-sonnet-4-5", 2006, 300, 0, 1920),
    "deepseek-chat, a hit": ("deepseek/deepseek-chat", 2006, 300, 1920, 0),
}
ROUNDS = 9


def microseconds(call, seconds=0.15) -> float:
    """The median over rounds of the time of one call."""
    call()
    took = []
    for _ in range(ROUNDS):
        calls, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds / ROUNDS:
            for _ in range(20):
                call()
            calls += 20
        took.append((time.perf_counter() - began) / calls * 1e6)
    return statistics.median(took)


def answers(model, prompt, completion, read, written):
    """The same answer as our Completion, as a dict, and as LiteLLM's response where it is installed."""
    from asynccache.reply import CacheCreation, Completion, PromptTokensDetails, Usage

    details = {"cached_tokens": read, "cache_write_tokens": written}
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": details,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": written,
    }
    plain = {
        "id": "1",
        "model": model.split("/")[-1],
        "created": int(time.time()),
        "choices": [],
        "usage": usage,
    }
    ours = Completion(
        model=plain["model"],
        created=plain["created"],
        usage=Usage(
            prompt_tokens=prompt,
            completion_tokens=completion,
            total_tokens=prompt + completion,
            prompt_tokens_details=PromptTokensDetails(uncached_tokens=prompt - read - written, **details),
            cache_read_input_tokens=read,
            cache_creation_input_tokens=written,
            cache_creation=CacheCreation(),
            source="provider",
        ),
    )
    return ours, plain


def litellms(plain):
    """LiteLLM's own response object, None where it is not installed."""
    try:
        import litellm
    except ImportError:
        return None, None
    usage = dict(plain["usage"])
    usage.pop("prompt_tokens_details")
    written = usage["cache_creation_input_tokens"]
    if "claude" not in plain["model"]:
        usage.pop("cache_creation_input_tokens")
        usage.pop("cache_read_input_tokens")
        usage["prompt_tokens_details"] = {"cached_tokens": plain["usage"]["cache_read_input_tokens"]}
        if written:
            usage["prompt_tokens_details"]["cache_write_tokens"] = written
    response = litellm.ModelResponse(model=plain["model"], usage=litellm.Usage(**usage))
    return response, litellm.completion_cost


def main() -> None:
    from asynccache.answer_cost import completion_cost
    from asynccache.pricing.cost import price_usage

    print(f"{'microseconds a call':<30}{'ours':>9}{'(dict)':>9}{'(Cost)':>9}{'LiteLLM':>10}{'times':>8}")
    for name, case in CASES.items():
        model = case[0]
        ours, plain = answers(*case)
        provider = model.split("/")[0] if "/" in model else "openai"
        quick = microseconds(lambda ours=ours, model=model: completion_cost(ours, model))
        from_dict = microseconds(lambda plain=plain, model=model: completion_cost(plain, model))
        whole = microseconds(
            lambda ours=ours, provider=provider: price_usage(ours.usage, provider=provider, model=ours.model)
        )
        response, theirs = litellms(plain)
        line = f"{name:<30}{quick:>9.2f}{from_dict:>9.2f}{whole:>9.2f}"
        if theirs is None:
            print(line + "  (litellm is not installed)")
            continue
        slow = microseconds(
            lambda theirs=theirs, response=response, model=model: theirs(response, model=model)
        )
        note = ""
        one, other = completion_cost(ours, model), theirs(response, model=model)
        if abs(one - other) > 1e-9:
            note = f"  ours {one:.9f}, theirs {other:.9f}"
        print(f"{line}{slow:>10.1f}{slow / quick:>8.0f}{note}")


if __name__ == "__main__":
    main()
