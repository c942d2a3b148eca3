"""Random patches of every format, as the mappings that their texts hold; all of them are well-formed."""

from __future__ import annotations

from hypothesis import strategies as st

from ghostd.model.patch import Format

TEXT = st.text(st.sampled_from("aé✅ \n\r\t'\"\\:#-|>&*!%@`{}[],?~\x00\x7f\x85\u2028\ufeff0"), max_size=12) | st.text(
    max_size=5
)
WORD = TEXT.filter(bool)
PATH = st.sampled_from(["a.py", "d/b.txt", "é/ü", "x y"])
ID = st.sampled_from(["p", "patch-v1.2.3(P1.2)_x", "A.b-c+d"])
NUMBER = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-1e9, 1e9)
NESTED = st.sampled_from([[], {}, [1, {"a": None}], {"a": {"b": [True, "c\n"]}}])
ANY = st.none() | st.booleans() | NUMBER | TEXT | NESTED
COMMANDS = st.lists(WORD, max_size=2)
FLAGS = ["enforceValidationGate", "blockCommitOnError", "runDryCheck", "strictRuntimeAudit"]


def some(required, optional):
    """A mapping with all required keys and any of the optional ones."""
    return st.fixed_dictionaries(required, optional=optional)


POINTER = st.sampled_from(["", "/a", "/a~1b/0", "/m~0n", "/l/-"])
STEP = st.one_of(
    some({"op": st.sampled_from(["add", "replace", "test"]), "path": POINTER, "value": ANY}, {}),
    some({"op": st.sampled_from(["move", "copy"]), "path": POINTER, "from": POINTER}, {}),
    some({"op": st.just("remove"), "path": POINTER}, {}),
)
MODE = st.sampled_from(["0644", "0755"])
WRITE = some({"path": PATH, "contents": TEXT}, {"mode": MODE})
OPS = st.one_of(
    WRITE,
    WRITE.map(lambda each: {"op": "write", **each}),
    some({"op": st.just("write"), "path_b64": st.just("/w=="), "contents_b64": st.just("AP8=")}, {}),
    some({"op": st.just("delete"), "path": PATH}, {}),
    some({"op": st.just("rename"), "path": PATH, "to": PATH}, {}),
    some({"op": st.just("mode"), "path": PATH, "mode": MODE}, {}),
    some({"op": st.just("symlink"), "path": PATH, "target": WORD}, {}),
    some({"op": st.just("replace"), "path": PATH, "search": WORD, "replace": TEXT}, {"count": st.integers(1, 9)}),
    some({"op": st.just("regex"), "path": PATH, "pattern": st.sampled_from([".*", "a+"]), "replacement": TEXT}, {}),
    some({"op": st.just("insert"), "path": PATH, "contents": TEXT, "after": WORD}, {}),
    some({"op": st.just("insert"), "path": PATH, "contents": TEXT, "line": st.integers(1, 9)}, {}),
    some({"op": st.just("diff"), "diff": WORD}, {"path": PATH}),
    some({"op": st.just("json"), "path": PATH, "patch": st.lists(STEP, min_size=1, max_size=3)}, {}),
    some({"op": st.just("shell"), "run": WORD}, {}),
)
TYPED = {"author", "description", "phase", "session"}
KEY = st.sampled_from(["x", "tags", "webhook", "executor", "sourceFormat"]) | TEXT.filter(lambda key: key not in TYPED)
METADATA = st.dictionaries(KEY, ANY, max_size=3)
EXECUTION = some(
    {},
    {
        "priority": st.sampled_from(["low", "high"]),
        "maxRetries": st.integers(0, 9),
        "timeout": st.integers(1, 10**6),
        "dependsOn": st.lists(ID, max_size=2),
        "approve": st.booleans(),
        "retryCount": ANY,
    },
)
UNIFIED = some(
    {
        "id": ID,
        "type": st.just("unified"),
        "content": some(
            {"mutations": st.lists(OPS, max_size=3)}, {"allowEmpty": st.booleans(), "type": st.just("multi_mutation")}
        ),
    },
    {
        "metadata": METADATA,
        "target": some({}, {"lane": TEXT, "role": TEXT}),
        "validation": some(
            {},
            {
                "gates": COMMANDS,
                **dict.fromkeys(["shell", "preCommit", "preMutationValidation", "postMutationBuild"], COMMANDS),
                **dict.fromkeys(FLAGS, st.booleans()),
            },
        ),
        "execution": EXECUTION,
    },
)
STAGE = some({"shell": COMMANDS | WORD}, {})
FLAT = {
    "role": ANY,
    "description": ANY,
    "phase": ANY | ID,
    "version": ANY,
    "timestamp": ANY,
    "priority": ANY | st.sampled_from(["low", "critical"]),
    "target": ANY | WORD,
    "notes": ANY,
    "metadata": METADATA | st.dictionaries(st.sampled_from([*sorted(TYPED), "metadata"]), ANY | ID, max_size=3),
    "preCommit": some({"shell": COMMANDS}, {"backup": ANY, "notes": ANY}),
    "preMutationValidation": STAGE,
    "validate": STAGE,
    "postMutationBuild": STAGE,
    "execution": st.tuples(EXECUTION, some({}, {"autoReleaseTimeoutMs": ANY, "onReloadHang": ANY})).map(
        lambda two: {**two[0], **two[1]}
    ),
}
WEBHOOK = some(
    {
        "id": ID,
        "target_file": PATH,
        "patch": TEXT
        | some({"pattern": st.just("a.*"), "replacement": TEXT}, {})
        | some({"mutations": st.lists(OPS, max_size=3)}, {}),
    },
    FLAT,
)
INSERTS = st.one_of(
    some({"path": PATH, "contents": TEXT, "insertAfter": WORD}, {"mode": MODE}),
    some({"op": st.just("upsert"), "path": PATH, "contents": TEXT, "insertBefore": WORD}, {}),
    some({"path": PATH, "contents": TEXT, "insertAt": st.integers(1, 9)}, {}),
)
GIT = some({}, {"commit": ANY | WORD, "tag": ANY | WORD})
EXECUTOR = some(
    {"mutations": st.lists(WRITE | INSERTS | OPS, max_size=3), "id": ID},
    {
        **FLAT,
        "blockId": ID,
        "final": some({}, {"git": ANY | GIT, "summary": ANY, "summaryFile": ANY}),
        "git": ANY,
        **dict.fromkeys(FLAGS, st.booleans()),
    },
)
G2O = some(
    {"id": ID, "kind": st.sampled_from(["feature", "bugfix", "operational_smoke", "test"]) | TEXT},
    {
        "preflight": COMMANDS | WORD,
        "execution": st.lists(WORD | OPS, max_size=3) | WORD,
        "validation": COMMANDS | STAGE,
        "options": some({}, {"dryRun": st.just(False), "timeoutMs": st.integers(1, 10**6)}),
    },
).filter(lambda patch: {"preflight", "execution", "validation"} & patch.keys())
G2O = G2O.map(lambda patch: {"patch": patch})
FORMATS = {Format.UNIFIED: UNIFIED, Format.WEBHOOK: WEBHOOK, Format.EXECUTOR: EXECUTOR, Format.G2O: G2O}
#: Any patch of any format.
PATCHES = st.one_of(*FORMATS.values())
