"""Which keys of LiteLLM's ``config.yaml`` mean something here, and which are known and mean nothing."""

from __future__ import annotations

__all__ = ["DEFAULTS", "IGNORED", "USED"]

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
            "timeout",
        }
    ),
    "general_settings": frozenset({"always_include_stream_usage", "master_key"}),
}
"""By section: what is read."""

IGNORED: dict[str, frozenset[str]] = {
    "": frozenset({"callback_settings", "credential_list", "environment_variables", "files_settings", "finetune_settings",
                   "guardrails", "include", "mcp_servers", "mcp_aliases", "prompts", "search_tools", "vector_store_registry"}),
    "model_list": frozenset({"model_group", "tpm", "rpm"}),
    "litellm_params": frozenset({
        "allow_dynamic_callback_disabling", "allowed_openai_params", "api_version", "auto_router_config",
        "budget_duration", "cooldown_time", "enable_cache_control_injection", "input_cost_per_second", "litellm_credential_name",
        "litellm_trace_id", "max_budget", "max_file_size_mb", "max_parallel_requests", "merge_reasoning_content_in_choices",
        "mock_response", "model_info", "order", "output_cost_per_second", "region_name", "rpm", "stream", "stream_timeout",
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
        "model_group_retry_policy", "routing_strategy", "routing_strategy_args", "set_verbose", "stream_timeout", "alerting_config",
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
