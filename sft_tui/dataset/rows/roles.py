"""Who speaks in a conversation, in every dialect, and how the turns are written."""

from __future__ import annotations

USER, ASSISTANT, OBSERVATION, FUNCTION, SYSTEM = "human", "gpt", "observation", "function_call", "system"
MESSAGES = "conversations"
TAGS = {
    "role_tag": "from",
    "content_tag": "value",
    "user_tag": USER,
    "assistant_tag": ASSISTANT,
    "observation_tag": OBSERVATION,
    "function_tag": FUNCTION,
    "system_tag": SYSTEM,
}
"""How LLaMA-Factory finds roles and texts in the written conversations."""
ROLE_KEYS = ("role", "from", "speaker", "author")
TEXT_KEYS = ("content", "value", "text", "message")
_ROLES = {
    USER: ("human", "user", "prompter", "customer", "question", "用户", "客户"),
    ASSISTANT: (
        "gpt",
        "assistant",
        "bot",
        "chatgpt",
        "model",
        "ai",
        "chatbot",
        "bard",
        "bing",
        "answer",
        "助手",
        "客服",
    ),
    OBSERVATION: ("observation", "tool", "function", "function_response", "tool_response", "tool_result", "ipython"),
    FUNCTION: ("function_call", "tool_call", "tool_calls", "function-call"),
    SYSTEM: ("system", "developer", "系统"),
}
ROLES = {name: side for side, names in _ROLES.items() for name in names}
