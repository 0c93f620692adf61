"""Which keys of LiteLLM's ``config.yaml`` mean something here, and which are known and mean nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asynccache.request import Path

__all__ = ["DEFAULTS", "DEFAULT_KINDS", "FOREIGN", "IGNORED", "REMEDIES", "USED", "is_ignored"]

# docs.litellm.ai/docs/proxy/config_settings and docs.litellm.ai/docs/proxy/configs, November 2026.

DEFAULTS = frozenset(
    [
        "betas",
        "cache_control",
        "frequency_penalty",
        "logit_bias",
        "max_completion_tokens",
        "max_tokens",
        "metadata",
        "parallel_tool_calls",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning_effort",
        "response_format",
        "seed",
        "service_tier",
        "stop",
        "temperature",
        "thinking",
        "tool_choice",
        "top_k",
        "top_p",
        "user",
        "verbosity",
    ]
)
"""Parameters of a call that ``litellm_params`` may set for callers who do not."""

DEFAULT_KINDS: dict[str, Any] = {
    **dict.fromkeys(("frequency_penalty", "presence_penalty", "temperature", "top_p"), int | float | None),
    **dict.fromkeys(("max_completion_tokens", "max_tokens", "seed", "top_k"), int | None),
    "parallel_tool_calls": bool | None,
}
"""Those whose kind is known: a variable of the environment is a text, and a wrong one is told at the start."""

PRICES = (
    "input_cost_per_token",
    "output_cost_per_token",
    "cache_read_input_token_cost",
    "cache_creation_input_token_cost",
    "cache_creation_input_token_cost_above_1hr",
)

AWS = (
    "aws_access_key_id",
    "aws_profile_name",
    "aws_region_name",
    "aws_secret_access_key",
    "aws_session_token",
)

AWS_SECRETS = frozenset({"aws_access_key_id", "aws_secret_access_key", "aws_session_token"})

USED: dict[str, frozenset[str]] = {
    "": frozenset(
        {"model_list", "litellm_settings", "router_settings", "general_settings", "asynccache_settings"}
    ),
    "model_list": frozenset({"model_name", "litellm_params", "model_info"}),
    "litellm_params": frozenset(
        {
            "api_base",
            "api_key",
            "base_url",
            "cache_control_injection_points",
            "custom_llm_provider",
            "drop_params",
            "extra_headers",
            "keep_cache_control",
            "max_retries",
            "model",
            "num_retries",
            "organization",
            "stream_timeout",
            "timeout",
            *PRICES,
            *AWS,
            *DEFAULTS,
        }
    ),
    "litellm_settings": frozenset(
        {
            "content_policy_fallbacks",
            "context_window_fallbacks",
            "default_fallbacks",
            "drop_params",
            "fallbacks",
            "num_retries",
            "request_timeout",
        }
    ),
    "router_settings": frozenset(
        {
            "content_policy_fallbacks",
            "context_window_fallbacks",
            "cooldown_time",
            "default_fallbacks",
            "fallbacks",
            "model_group_alias",
            "num_retries",
            "stream_timeout",
            "timeout",
        }
    ),
    "general_settings": frozenset({"always_include_stream_usage", "master_key"}),
}
"""By section: what is read."""

IGNORED: dict[str, frozenset[str]] = {
    "": frozenset({"callback_settings", "credential_list", "environment_variables", "files_settings", "finetune_settings",
                   "guardrails", "mcp_servers", "mcp_aliases", "prompts", "search_tools", "vector_store_registry"}),
    "model_list": frozenset({"model_group", "tpm", "rpm"}),
    "litellm_params": frozenset({
        "allow_dynamic_callback_disabling", "allowed_openai_params", "api_version", "auto_router_config",
        "budget_duration", "cooldown_time", "enable_cache_control_injection",
        "litellm_trace_id", "max_budget", "max_file_size_mb", "max_parallel_requests", "merge_reasoning_content_in_choices",
        "model_info", "order", "region_name", "rpm", "stream",
        "supports_system_message", "tags", "tpm", "use_in_pass_through", "use_litellm_proxy", "weight",
    }),
    "litellm_settings": frozenset({
        "allowed_fails", "audio_callbacks", "cache", "cache_params", "callbacks", "cost_discount_config", "cost_margin_config",
        "datadog_params", "disable_copilot_system_to_assistant", "disable_end_user_cost_tracking", "enable_json_schema_validation",
        "enable_preview_features", "failure_callback", "force_ipv4", "force_stream_options", "json_logs", "key_generation_settings",
        "langfuse_default_tags", "logging_callback_manager", "max_budget", "max_end_user_budget", "max_internal_user_budget",
        "modify_params", "public_routes", "redact_messages_in_exceptions", "redact_user_api_key_info", "service_callback",
        "set_verbose", "ssl_certificate", "ssl_verify", "success_callback", "telemetry", "tag_budget_config", "turn_off_message_logging",
        "upperbound_key_generate_params", "default_internal_user_params", "default_team_settings", "default_team_params",
        "return_response_headers", "user_url_validation", "store_audit_logs", "use_chat_completions_url_for_anthropic_messages",
    }),
    "router_settings": frozenset({
        "allowed_fails", "allowed_fails_policy", "assistants_config", "cache_kwargs", "cache_responses", "caching_groups", "client_ttl", "debug_level",
        "default_litellm_params", "default_max_parallel_requests", "default_priority", "disable_cooldowns",
        "enable_pre_call_checks", "enable_tag_filtering", "max_fallbacks", "optional_pre_call_checks", "polling_interval",
        "provider_budget_config", "redis_db", "redis_host", "redis_password", "redis_port", "redis_url", "retry_after", "retry_policy",
        "model_group_retry_policy", "routing_strategy", "routing_strategy_args", "set_verbose", "alerting_config",
        "fallbacks_on_stream", "ignore_invalid_deployments", "search_tools",
    }),
    "general_settings": frozenset({
        "admin_only_routes", "alert_to_webhook_url", "alert_types", "alerting", "alerting_args", "alerting_threshold",
        "allow_client_side_credentials", "allow_requests_on_db_unavailable", "allow_user_auth", "allowed_ips", "allowed_routes",
        "background_health_checks", "block_robots", "completion_model", "custom_auth",
        "custom_key_generate", "custom_sso", "database_connection_pool_limit", "database_connection_timeout", "database_type",
        "database_url", "disable_adding_master_key_hash_to_db", "disable_error_logs", "disable_master_key_return",
        "disable_reset_budget", "disable_retry_on_max_parallel_request_limit_error", "disable_spend_logs", "disable_spend_updates",
        "enable_health_check_routing", "enable_jwt_auth", "enable_oauth2_auth", "enable_oauth2_proxy_auth", "enforce_user_param",
        "enforced_params", "forward_client_headers_to_llm_api", "forward_openai_org_id", "global_max_parallel_requests",
        "health_check_details", "health_check_interval", "infer_model_from_keys", "key_management_settings", "key_management_system",
        "litellm_jwtauth", "litellm_key_header_name", "max_parallel_requests", "max_request_size_mb", "max_response_size_mb",
        "maximum_spend_logs_retention_interval", "maximum_spend_logs_retention_period", "moderation_model", "oauth2_config_mappings",
        "otel", "pass_through_endpoints", "proxy_batch_write_at", "proxy_budget_rescheduler_max_time",
        "proxy_budget_rescheduler_min_time", "public_routes", "redis_host", "role_permissions", "routing_strategy", "salt_key",
        "service_account_settings", "spend_report_frequency", "store_model_in_db", "store_prompts_in_spend_logs", "ui_access_mode",
        "use_azure_key_vault", "use_client_credentials_pass_through_routes", "use_google_kms", "use_shared_health_check", "use_x_forwarded_for",
        "user_header_mappings", "user_header_name",
    }),
}  # fmt: skip
"""By section: what is known and has no meaning here; told once at the start."""

_SERVER = (
    "if it speaks OpenAI's chat format, write openai/NAME with its api_base, such as http://127.0.0.1:8000/v1"
)
_AZURE = "write openai/DEPLOYMENT with api_base: https://RESOURCE.openai.azure.com/openai/v1, and model_info.base_model for its price"
_NOT_BY_TIME = "prices are by the token here: input_cost_per_token, output_cost_per_token"
_ROLE = "name a profile that takes the role: aws_profile_name"

REMEDIES: dict[str, dict[str, str]] = {
    "": {"include": "other files are not read; their rows belong into this one"},
    "litellm_params": {
        "additional_drop_params": "is not known here; drop_params: true leaves out whatever the model does not take",
        "aws_bedrock_runtime_endpoint": "is not known here; write it as api_base",
        "aws_role_name": f"is not known here; {_ROLE}",
        "aws_session_name": f"is not known here; {_ROLE}",
        "aws_web_identity_token": f"is not known here; {_ROLE}",
        "extra_body": "is not known here; callers may send whatever the model takes in their own bodies",
        "input_cost_per_second": _NOT_BY_TIME,
        "litellm_credential_name": "credential_list is not read; write api_key: os.environ/NAME here",
        "mock_response": "no answer is made up here; model: simulator/openai/gpt-4o answers without a provider",
        "output_cost_per_second": _NOT_BY_TIME,
    },
}
"""By section: what LiteLLM knows and nobody may leave out unseen, for it decides who answers or what it costs."""

FOREIGN: dict[str, str] = {
    "azure": _AZURE,
    "azure_ai": _AZURE,
    "azure_text": _AZURE,
    "custom_openai": _SERVER,
    "databricks": _SERVER,
    "gemini": "write openai/NAME with api_base: https://generativelanguage.googleapis.com/v1beta/openai",
    "github": _SERVER,
    "hosted_vllm": _SERVER,
    "huggingface": _SERVER,
    "litellm_proxy": _SERVER,
    "llamafile": _SERVER,
    "lm_studio": _SERVER,
    "nvidia_nim": _SERVER,
    "ollama": _SERVER,
    "ollama_chat": _SERVER,
    "openai_like": _SERVER,
    "perplexity": _SERVER,
    "sagemaker": _SERVER,
    "sambanova": _SERVER,
    "text-completion-openai": "there are no bare completions here; write openai/NAME of a chat model",
    "vertex_ai": _SERVER,
    "vertex_ai_beta": _SERVER,
    "vllm": _SERVER,
    "watsonx": _SERVER,
}
"""Providers of LiteLLM's that are none here, and how to ask their models all the same."""


def is_ignored(path: Path) -> bool:
    """Whether the value at *path* of the file means nothing here, whatever it is."""
    if path[:1] == ("model_list",):
        section, rest = (
            ("litellm_params", path[3:4]) if path[2:3] == ("litellm_params",) else ("model_list", path[2:3])
        )
        return bool(rest) and rest[0] in IGNORED[section]
    if len(path) > 1 and path[0] in IGNORED and path[0]:
        return path[1] in IGNORED[str(path[0])]
    return bool(path) and path[0] in IGNORED[""]
