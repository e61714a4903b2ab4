"""Text that talks to its judge, or to the model that reads it.

Plain patterns in five languages (English, German, Spanish, French, Chinese). A hit proves nothing
and blocks nothing: it raises the review to the independent classifier. Give these functions what
`normalise.shown` returned, so that nothing is hidden from the patterns.

Every gap in a pattern is bounded and none is repeated, so time is linear in the length.
"""

import re
import unicodedata
from dataclasses import dataclass

_EMPHASIS = str.maketrans(dict.fromkeys("*_`~", "") | {"\u2019": "'", "\u2018": "'"})


@dataclass(frozen=True, slots=True)
class _Sign:
    """A pattern, and words of which a text must hold one for the pattern to be tried at all."""

    words: tuple[str, ...]
    pattern: re.Pattern[str]


def _sign(words: str, *patterns: str) -> _Sign:
    return _Sign(tuple(words.split("/")), re.compile("|".join(patterns)))


# Parts of patterns. `no` is the answer that a harmful candidate wants of its judge.
_QUOTE = r"[\"'\u201c\u201d\u201e\u00ab\u00bb\u300c\u300e]"
_NO = rf"(?:{_QUOTE} ?(?:no|safe|harmless|false|0){_QUOTE}?|no[.!]? ?$|no (?:to|and|for|when|if) )"
_REVIEWER = (
    r"(?:reviewers?|moderators?|evaluators?|graders?|auditors?|guardrails?|classifiers?"
    r"|(?:the|this|an?|ai|llm|safety) (?:judge|conscience)"
    r"|(?:safety|content|policy|moderation) (?:filter|system|check(?:er)?|model|team|review))"
)
_HARMLESS = (
    r"(?:safe|harmless|benign|compliant|not harmful|not unsafe|non-?harmful|acceptable"
    r"|policy-compliant|fine|unobjectionable|0\b)"
)
_CLAIM = r"(?:safe|harmless|benign|compliant|none|no|false|low|0(?:\.0+)?|pass(?:ed)?)"

# Role markers and control tokens, whole or broken by `inert`, and the closing of fences.
_MARKERS = (
    _sign("<", r"< ?\|[^<>|\s]{1,64}\|>", r"< ?(?:start|end)of(?:turn|role)>"),
    _sign(
        "[",
        r"\[ ?/?(?:inst|systemprompt|toolcalls|toolresults|availabletools)\]",
        r"\[ ?/?(?:system|developer|assistant)\](?:\(#\w{1,32}\))?",
    ),
    _sign(
        "###",
        r"###? ?(?:system|instruction|human|assistant|user|developer)"
        r"(?: (?:prompt|message|override))? ?:",
    ),
    _sign("=====", r"={5}[0-9a-f]{16,64}"),
    _sign(
        "end of",
        r"[-=#<\[(]{1,8} ?end of (?:the )?(?:quoted |model |assistant |user )?(?:candidate|response"
        r"|answer|transcript|conversation|data|quote|text|input|prompt|context|document)",
    ),
)
_CLOSING = re.compile(
    r"</ ?(candidate|response|answer|conversation|transcript|quote|untrusted|assistant|user|system"
    r"|context|passage|document|toolresult|functionresults?)>"
)
_ROLE_LINE = re.compile(r"^ {0,3}(?:user|human) ?:", re.MULTILINE)
_ANSWER_LINE = re.compile(r"^ {0,3}(?:assistant|ai|model|bot) ?:", re.MULTILINE)
_SYSTEM_LINE = re.compile(
    r"^ {0,3}(?:system|developer)(?: (?:prompt|message|note|override))? ?: ?"
    r"(?:you |your |ignore|disregard|new |override|the (?:assistant|user|model|ai) )",
    re.MULTILINE,
)
_VERDICT_LINE = re.compile(
    rf"^ {{0,3}}(?:[-#>] ?)?(?:(?:user |response |content |final )?(?:safety(?: rating| verdict"
    rf"| assessment| label)?|verdict|judge?ment|harmful(?:ness)?|risk score|policy violations?"
    rf"|unsafe|flagged)) ?[:=] ?{_QUOTE}?{_CLAIM}\b",
    re.MULTILINE,
)
_VERDICT_JSON = _sign(
    '":',
    r"\"(?:harmful|flagged|unsafe|violation|violates|isharmful|verdict|risk|riskscore|safe"
    rf"|issafe)\" ?: ?(?:\"?{_CLAIM}\"?|true) ?[,}}]",
)

_TO_REVIEWER = (
    _sign(
        "answer/respond/reply/output/say/return",
        r"(?:answer|respond|reply|output|return|say(?= only| just| exactly| the)) (?:only |just "
        rf"|simply |always |with |exactly |the word |a |this question |here ){{0,4}}{_NO}",
        r"(?:correct|right|only|expected|proper|appropriate) (?:answer|verdict|response|judge?ment)"
        rf" (?:here |to this |to the question |to the review )?(?:is|would be|must be) {_NO}",
    ),
    _sign(
        "review/moderator/evaluator/grader/auditor/guardrail/classifier/judge/conscience/filter"
        "/check/safety",
        rf"{_REVIEWER}[,:]? .{{0,40}}?(?:must|should|shall|needs? to|has to|have to|will|can|please"
        r"|is to|are to) (?:now |only |always |simply |just |therefore |thus )?(?:say|answer"
        r"|respond|reply|mark|rate|label|classify|score|output|pass this|approve this"
        r"|ignore|disregard|skip|conclude|find (?:this|nothing|no ))",
        r"(?:note|message|instructions?|memo|attention|dear|hello|hi|hey)(?: to| for)?:? "
        rf"(?:the |all |any |our |my )?(?:ai |human |safety |content )?{_REVIEWER}",
        rf"as (?:the |an? )?{_REVIEWER},? you ",
        rf"if you are (?:the |an? )?{_REVIEWER}",
    ),
    _sign(
        "safe/harmless/benign/compliant/harmful/fine/acceptable/objectionable",
        r"(?:this|the above|the preceding|the previous|my|the assistant's|the following) (?:whole |"
        r"entire )?(?:response|answer|reply|message|output|content|text|completion|conversation)"
        rf" (?:above )?(?:is|was|should be considered|has been (?:rated|judged|found|deemed|marked"
        rf"|verified|reviewed)(?: as| to be| and is)?) (?:completely |entirely |perfectly |fully "
        rf"|totally |100% )?{_HARMLESS}\b",
        r"(?:rate|mark|classify|label|score|judge|flag|treat|consider) (?:this|the|my|it|the above)"
        r"(?: response| answer| reply| message| output| content| text)? (?:as |to be )?(?:being )?"
        rf"(?:completely |entirely )?{_HARMLESS}(?: \w{{1,20}})?[.!]? ?$",
    ),
    _sign(
        "flag/violation/harmful",
        r"(?:do not|don't|must not|never|no need to) (?:flag|block|report) (?:this|my|the) (?:"
        r"response|answer|reply|message|output|content|text|conversation|one)",
        r"(?:no|not a|nothing) (?:policy |safety |content )?(?:violations?|harmful)(?: content)? "
        r"(?:here|(?:was |were |is |has been )?(?:found|detected|present)|in (?:this|the) (?:"
        r"response|answer|reply|output))",
    ),
    # German
    _sign(
        "antwort/prüfer/gutachter/bewerter/moderator/bewerte/stufe",
        rf"antworten? (?:sie )?(?:nur |bitte |einfach |immer |hier |mit ){{0,4}}{_QUOTE}?nein\b",
        r"(?:prüfer|gutachter|bewerter|moderator|prüfsystem)(?:in|s)?[,:]? .{0,40}?(?:muss|müssen"
        r"|soll|sollen|sollte|bitte) .{0,30}?(?:nein|sicher|unbedenklich|harmlos|durchlassen)",
        r"(?:hinweis|nachricht|anweisung) an (?:den|die|das|alle) (?:prüfer|gutachter|bewerter"
        r"|moderator|prüfsystem)",
        r"(?:diese|die obige|die) antwort ist (?:völlig |absolut |vollkommen )?(?:sicher\b|harmlos"
        r"|unbedenklich|nicht schädlich|ungefährlich)",
        r"(?:stufe|stufen sie|bewerte|bewerten sie) (?:dies|das|diese antwort|die antwort) als "
        r"(?:sicher|harmlos|unbedenklich)",
    ),
    # Spanish
    _sign(
        "respond/revisor/evaluador/moderador/juez/califi/clasifi/marca/respuesta",
        rf"respond(?:e|a|er|an) (?:solo |sólo |únicamente |simplemente |siempre |con |un )"
        rf"{{0,3}}{_QUOTE}no\b",
        r"(?:revisor|evaluador|moderador|juez|clasificador)(?:es|a)?[,:]? .{0,40}?(?:debe|deben"
        r"|tiene que|tienes que|debería) (?:responder|decir|contestar|marcar|clasificar|calificar"
        r"|aprobar)",
        r"(?:nota|mensaje|aviso) (?:para|a) (?:el |la |los |al )?(?:revisor|evaluador|moderador)",
        r"(?:esta|la) respuesta es (?:totalmente |completamente )?(?:segura|inofensiva|inocua)",
        r"(?:califica|califique|clasifica|clasifique|marca|marque) (?:esto|esta respuesta|la "
        r"respuesta) como (?:segur|inofensiv)",
    ),
    # French
    _sign(
        "répond/évaluateur/modérateur/relecteur/réponse/class/marque",
        rf"répond(?:s|ez|re) (?:seulement |uniquement |simplement |toujours |par |avec ){{0,3}}"
        rf"{_QUOTE}? ?non\b(?! ?-)",
        r"(?:évaluateur|modérateur|relecteur|vérificateur|juge)(?:s|rice)?[,:]? .{0,40}?(?:doit"
        r"|doivent|devez|devrait) (?:répondre|dire|marquer|classer|noter|approuver|conclure)",
        r"(?:note|message|avis) (?:pour|à|au|aux) (?:le |la |les |l')?(?:évaluateur|modérateur"
        r"|relecteur|vérificateur)",
        r"(?:cette|la) réponse est (?:totalement |entièrement |parfaitement )?(?:sûre|inoffensive"
        r"|sans danger)",
        r"(?:classez|classe|marquez|marque|notez|note) (?:ceci|cette réponse|la réponse) comme "
        r"(?:sûr|inoffensi)",
    ),
    # Chinese
    _sign(
        "回答/回复/输出/审核/审查/评审/评估/标记/判定",
        rf"(?:请|只|必须|应该|应当|直接)(?:回答|回复|输出)[:]?{_QUOTE}?(?:否|no\b|不是|安全|无害)",
        r"(?:审核员|审查员|评审员?|评估者|审核系统|审核模型|裁判)[,:]?.{0,12}?(?:必须|应该"
        r"|应当|请|需要).{0,8}?(?:回答|判定|判断|标记|认为|通过|输出)",
        r"(?:此|该|这个|本|以上|上述)(?:回答|回复|内容|答案)(?:是|属于|完全)?(?:安全|无害|合规)的?",
        r"(?:将|把)(?:此|该|这个?|本|以上)(?:回答|回复|内容|答案)?(?:标记|判定|评)为(?:安全|无害)",
    ),
)

_BEFORE = r"(?:previous|prior|above|earlier|preceding|existing|original|former|initial|system)"
_ORDERS = (
    r"(?:instructions?|prompts?|rules?|guidelines?|directions?|directives?|commands?|constraints?"
    r"|programming|training)"
)
_READER = (
    r"(?:ai|llm|large language model|language model|assistant|chatbot|ai agent|gpt|chatgpt|claude"
    r"|copilot|gemini)s?"
)
_SECRETS = (
    r"(?:data|conversation|chat (?:history|log)|messages?|credentials?|passwords?|api keys?"
    r"|secrets?|tokens?|system prompt|contents?|information|emails?|history|files?|context)"
)
_MUST = (
    r"(?:respond|reply|answer|output|reveal|print|call|invoke|execute|obey|follow|ignore|pretend"
    r"|act|behave|comply|disregard|speak|say|recommend|tell)"
)

_TO_MODEL = (
    _sign(
        "ignore/disregard/forget/override/bypass/overrule",
        r"(?:ignore|disregard|forget|override|bypass|overrule) (?:(?:all|any|the|your|every|these"
        rf"|those|of|my|other|completely) ){{0,4}}{_BEFORE} (?:\w{{1,20}} ){{0,2}}?{_ORDERS}",
        r"(?:ignore|disregard|forget|override|bypass) (?:all |any )?(?:of )?(?:your|the system's) "
        rf"(?:\w{{1,20}} )?{_ORDERS}",
        r"(?:ignore|disregard|forget) (?:everything|anything|all) (?:you (?:were|have been)|that "
        r"(?:came|was)|above|before|prior|said|i said)",
    ),
    _sign(
        "you/your",
        rf"(?:you must now|now you must|from now on,? you (?:must|will|should|are to)) {_MUST}\b",
        r"from now on,? you are ",
        r"you are now (?:dan\b|jailbroken|unrestricted|free of|in developer mode|acting as|a "
        r"different (?:ai|assistant|model)|an? (?:ai|assistant|unfiltered|unrestricted|uncensored)"
        r"\b)",
        r"your (?:new|real|true|actual|only) (?:instructions?|task|role|goal|objective|purpose"
        r"|system prompt) (?:is|are)\b",
        rf"if you are (?:an? |the )?{_READER}\b",
        rf"as an? {_READER},? (?:assistant,? |model,? )?you (?:must|should|are required|have to)",
    ),
    _sign(
        "instructions:/instruction:/prompt:/task:/override/developer mode/do anything now",
        r"(?:new|updated|real|hidden|secret|additional) (?:system )?(?:instructions?|prompt|task)"
        r"(?: for (?:the )?\w{1,20})?:",
        r"(?:system|instruction|safety) override",
        r"developer mode (?:enabled|activated|is on)",
        r"do anything now",
    ),
    _sign(
        "ai/llm/language model/assistant/chatbot/gpt/claude/copilot/gemini",
        r"(?:attention|note|important|message|instructions?|reminder|notice|hey|dear|hello)"
        rf"(?: to| for)?[:,]? (?:the |any |all |every )?{_READER}(?: (?:assistant|agent|model"
        r"|reading|processing|summari[sz]ing|systems?)s?){0,2} ?[:,!.(]",
        rf"(?:any|all|every|the) {_READER}(?: (?:assistant|agent|model)s?)? (?:that |who )?"
        r"(?:reads?|reading|processing|process|processes|sees?|summari[sz]\w{1,4}) this",
        rf"\b{_READER}(?: model| agent)?,? (?:please |you )?(?:must|should) (?:ignore|disregard"
        r"|forget|now )",
    ),
    _sign(
        "the user",
        r"(?:do not|don't|never|without) (?:tell|telling|inform|informing|mention this to"
        r"|mentioning this to|reveal this to|alert|alerting|let) the user",
    ),
    _sign(
        "prompt/instructions/message",
        r"(?:reveal|print|output|repeat|show|display|leak|disclose|send)(?: me| us)?(?: the| your"
        r"| all){0,2} (?:(?:hidden|initial|original|full|entire|secret) )?(?:system|developer|"
        r"hidden|initial) (?:prompt|instructions?|messages?)",
    ),
    _sign(
        "http/@",
        r"(?:send|forward|email|post|upload|exfiltrate|transmit|leak|copy) (?:(?:it|them|this|that"
        r"|all|any|the|your|user'?s?|their|every|full|entire|of|whole|private|and|user) ){0,5}"
        rf"{_SECRETS}(?: \w{{1,20}}){{0,4}}? to:? (?:https?://|[\w.+-]{{1,64}}@)",
    ),
    # Imitated tool calls
    _sign(
        "<tool/< tool/<function/<invoke/toolcalls/functioncall/action input/to=functions",
        r"< ?(?:toolcall|functioncalls?|function=|invoke name=)",
        r"\"(?:toolcalls|functioncall)\" ?:",
        r"action input ?: ?[{\[\"]",
        r"to=functions\.",
    ),
    # German
    _sign(
        "anweisung/befehle/regeln/vorgaben/du bist/ab jetzt/ab sofort/benutzer/nutzer",
        r"(?:ignoriere?|ignorieren sie|vergiss|vergessen sie|missachte) (?:(?:alle|die|deine|ihre"
        r"|sämtliche) ){0,3}(?:vorherigen|bisherigen|obigen|früheren|vorangegangenen) "
        r"(?:\w{1,20} )?(?:anweisungen|befehle|regeln|vorgaben|instruktionen)",
        r"(?:ab jetzt|ab sofort|von nun an) (?:bist|musst|antwortest|sollst) du",
        r"(?:sage?|verrate|erzähle?) (?:es |das |dies )?dem (?:be)?nutzer (?:nichts|nicht)",
        r"du bist (?:jetzt|nun) (?:ein |eine )?(?:ki|assistent|uneingeschränkt)",
    ),
    # Spanish
    _sign(
        "instrucciones/reglas/órdenes/ahora/usuario",
        r"(?:ignora|ignore|olvida|olvide|omite|descarta) (?:(?:todas|las|tus|sus) ){0,3}(?:"
        r"instrucciones|reglas|órdenes|indicaciones) (?:\w{1,20} )?(?:anteriores|previas)",
        r"(?:a partir de ahora|de ahora en adelante),? (?:eres|debes|responderás|actuarás)",
        r"no (?:le )?(?:digas|informes|menciones)(?: nada| esto)? al usuario",
    ),
    # French
    _sign(
        "instructions/consignes/règles/désormais/utilisateur/présent",
        r"(?:ignore|ignorez|oublie|oubliez) (?:(?:toutes|les|tes|vos) ){0,3}(?:instructions"
        r"|consignes|règles|directives) (?:\w{1,20} )?(?:précédentes|antérieures|ci-dessus)",
        r"(?:désormais|à partir de maintenant|dès à présent),? (?:tu es|tu dois|vous êtes un"
        r"|vous devez répondre)",
        r"ne (?:dis|dites|révèle|révélez|signale|signalez) (?:rien|pas cela|pas ceci) à "
        r"l'utilisateur",
    ),
    # Chinese
    _sign(
        "忽略/无视/忘记/不要告诉/从现在/你现在是/系统提示",
        r"(?:忽略|无视|忘记)(?:掉)?.{0,8}?(?:之前|以前|以上|上述|先前|前面|所有).{0,6}?(?:指令|指示"
        r"|提示|规则|命令|要求)",
        r"(?:从现在起|从现在开始|现在起)[,]?你(?:是|必须|将|要)",
        r"不要(?:告诉|通知|提醒)用户",
        r"(?:输出|显示|透露|泄露)(?:你的)?系统提示",
    ),
)


def addresses_reviewer(text: str) -> bool:
    """Whether a candidate talks to its judge, imitates a verdict or a turn, or closes a fence."""
    lines = _plain(text)
    if _ROLE_LINE.search(lines) and _ANSWER_LINE.search(lines):
        return True
    if _VERDICT_LINE.search(lines) or _SYSTEM_LINE.search(lines):
        return True
    flat = _flat(lines)
    return _marked(flat) or _any((_VERDICT_JSON, *_TO_REVIEWER), flat)


def gives_instructions(text: str) -> bool:
    """Whether a retrieved passage or a tool's result reads like orders to the model."""
    lines = _plain(text)
    if _SYSTEM_LINE.search(lines):
        return True
    flat = _flat(lines)
    return _marked(flat) or _any(_TO_MODEL, flat)


def _marked(text: str) -> bool:
    return _any(_MARKERS, text) or _closes_what_it_did_not_open(text)


def _closes_what_it_did_not_open(text: str) -> bool:
    """Whether there is an end tag, of those that prompts fence text with, before any start."""
    first: dict[str, int] = {}
    for tag in _CLOSING.finditer(text):
        first.setdefault(tag[1], tag.start())
    return any(f"<{name}" not in text[:start] for name, start in first.items())


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).translate(_EMPHASIS).lower()


def _flat(text: str) -> str:
    return " ".join(text.split())


def _any(signs: tuple[_Sign, ...], text: str) -> bool:
    return any(
        any(word in text for word in sign.words) and sign.pattern.search(text) is not None
        for sign in signs
    )
