"""What was said to a model and what came back, one compressed file a conversation: `calls/<name>.json.gz`."""

import gzip
import json
from pathlib import Path

from autoresearch_ray.common.paths import write_whole
from autoresearch_ray.propose.llm.conversation import Conversation, Idea
from autoresearch_ray.propose.llm.metered import Call
from autoresearch_ray.records.codec import to_json


def write_transcript(path: Path, calls: list[Call], conversation: Conversation, proposal_ids: list[str]) -> None:
    """Each call with prompt, answer or error, tokens, cost and seconds; what became of each idea; the proposals."""
    content = {
        "proposals": proposal_ids,
        "outcomes": [
            {"kind": "idea" if isinstance(outcome, Idea) else "rejection"} | json.loads(to_json(outcome))
            for outcome in conversation.outcomes
        ],
        "calls": [_call(call) for call in calls],
        "error": str(conversation.error or ""),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, gzip.compress(json.dumps(content, indent=1).encode()))


def _call(call: Call) -> dict[str, object]:
    return {
        "call_id": call.call_id,
        "who": call.who,
        "prompt": json.loads(to_json(call.prompt)),
        "answer": json.loads(to_json(call.answer)) if call.answer else None,
        "error": str(call.error or ""),
        "charge": json.loads(to_json(call.charge)),
    }
