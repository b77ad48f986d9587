"""The tools that keep facts and preferences by name: there where the operator has switched them on."""

from services.agent_tools.answers import FoundFacts, KeptValues, ValueKept
from services.agent_tools.arguments import GetValue, KeepValue, SearchFacts
from services.agent_tools.keeping import get_fact, get_preference, search_facts, set_preference, store_fact
from services.agent_tools.tool import Tool

SECTION_TOOLS: tuple[Tool, ...] = (
    Tool(
        "search_facts",
        "Search the user's facts",
        "Find facts that are kept about the user under keys: numbers, addresses, choices. Use it where you do not know "
        "the key. What was said in conversations is found by search_user_memory.",
        SearchFacts,
        FoundFacts,
        search_facts,
        ("read",),
        is_read_only=True,
    ),
    Tool(
        "get_fact",
        "Look up a fact of the user",
        "Read the fact that is kept about the user under a key that you know.",
        GetValue,
        KeptValues,
        get_fact,
        ("read",),
        is_read_only=True,
    ),
    Tool(
        "store_fact",
        "Keep a fact of the user",
        "Keep something about the user that will be looked up exactly under a key: an order number, a shoe size, where "
        "a task stands. Under a known key it replaces what stood there, which is gone then: search first. What the "
        "user told of themselves is a memory: use save_user_memory.",
        KeepValue,
        ValueKept,
        store_fact,
        ("write",),
        is_destructive=True,
    ),
    Tool(
        "get_preference",
        "Look up a preference of the user",
        "Read how the user wants something to be, under a key that you know: language, tone, units.",
        GetValue,
        KeptValues,
        get_preference,
        ("read",),
        is_read_only=True,
    ),
    Tool(
        "set_preference",
        "Keep a preference of the user",
        "Keep how the user wants something to be in every conversation, under a key as in reply_language. Use it when "
        "they ask for it. It replaces what stood under the key, which is gone then.",
        KeepValue,
        ValueKept,
        set_preference,
        ("write",),
        is_destructive=True,
    ),
)
SECTION_INSTRUCTIONS = (
    "Facts and preferences are kept under keys, word for word and without a history: for what will be looked up by its "
    "exact name. Where in doubt, save a memory. Of two values under a key the application's holds, and only it can "
    "change that one."
)
