"""What is known of languages that an assistant's file may ask for: numbers and addresses as words."""

from __future__ import annotations

from functools import cache

# @ . / - _ as they are said in an address; languages that say them otherwise may be added
_ADDRESS_MARKS = {
    "ar": "آت|نقطة|شرطة مائلة|شرطة|شرطة سفلية",
    "cs": "zavináč|tečka|lomítko|pomlčka|podtržítko",
    "da": "snabel-a|punktum|skråstreg|bindestreg|understreg",
    "de": "at|Punkt|Schrägstrich|Bindestrich|Unterstrich",
    "en": "at|dot|slash|dash|underscore",
    "es": "arroba|punto|barra|guion|guion bajo",
    "fi": "ät|piste|kautta|väliviiva|alaviiva",
    "fr": "arobase|point|slash|tiret|tiret bas",
    "hi": "ऐट|डॉट|स्लैश|डैश|अंडरस्कोर",
    "it": "chiocciola|punto|barra|trattino|trattino basso",
    "ja": "アットマーク|ドット|スラッシュ|ハイフン|アンダーバー",
    "ko": "골뱅이|점|슬래시|하이픈|밑줄",
    "nb": "krøllalfa|punktum|skråstrek|bindestrek|understrek",
    "nl": "apenstaartje|punt|slash|streepje|laag streepje",
    "pl": "małpa|kropka|ukośnik|myślnik|podkreślnik",
    "pt": "arroba|ponto|barra|hífen|sublinhado",
    "ru": "собака|точка|слэш|дефис|нижнее подчёркивание",
    "sv": "snabel-a|punkt|snedstreck|bindestreck|understreck",
    "tr": "et|nokta|eğik çizgi|tire|alt çizgi",
    "ur": "ایٹ|ڈاٹ|سلیش|ڈیش|انڈر سکور",
    "zh": "艾特|点|斜杠|横杠|下划线",
}
_SAME = {"no": "nb", "nn": "nb", "cmn": "zh", "yue": "zh"}


def base_language(tag: str) -> str:
    """ "en" of en-GB."""
    return tag.lower().replace("_", "-").partition("-")[0]


def address_marks(tag: str) -> dict[str, str]:
    """What stands for @ . / - and _ in an address; empty: it is not known for this language."""
    language = base_language(tag)
    said = _ADDRESS_MARKS.get(_SAME.get(language, language), "")
    return dict(zip("@./-_", said.split("|"), strict=True)) if said else {}


def languages_with_address_marks() -> list[str]:
    return sorted(_ADDRESS_MARKS)


@cache
def spells_numbers(tag: str) -> bool:
    """Whether CLDR has this language's words for numbers; where it has none it answers in English."""
    if not tag:
        return False
    from icu4py.messageformat import MessageFormat

    seven = MessageFormat("{n,spellout}", tag.replace("_", "-")).format({"n": 7})
    return base_language(tag) == "en" or (seven != "seven" and not seven.isdigit())
