# ruff: noqa: RUF001 - letters of other alphabets
"""Abbreviations that `sentencex` 1.0 does not have, found by trying those that are said on the telephone.

Before a name, a number or a street, where a period is most often taken for an end. Those that also end sentences are
in a table of their own, for where what follows is not known yet: a clause that is cut a word early sounds wrong, one
that is cut a sentence late only comes later.
"""

from __future__ import annotations

from functools import cache

_LACKING = {
    "en": "Dr Mr Mrs Ms Prof Gen Sgt Capt Lt Rev Hon Sen Gov Messrs Apt Ste tel Tel Mon Tue Tues Wed Thu Thur "
    "Thurs Fri Sat approx Approx dept Dept Attn lbs hrs ext Ext",
    "de": "Jän Feb Mär Apr Jun Jul Aug Sept Okt Nov Dez Mo Di Mi Do Fr Sa So Hr Frl inkl exkl zzgl abzgl geb Ing "
    "Dipl Mag Tel Nr Std Min max min Fa Fam Abt",
    "es": "Dra Dña Sra Srta Sta Sto Ing Lic Arq Gral Profa Av Avda Ctra Pza Dpto aprox Tel tel núm Núm ej pág",
    "fr": "MM Mme Mlle Mlles Mmes Me Dr Pr Prof St Ste bd Bd av Av tél Tél env janv févr avr juil sept oct nov déc",
    "it": "Sig Sigg Dott Avv Ing Prof Geom Rag Arch Egr Gent tel Tel num ca",
    "pt": "Sr Sra Dr Dra Prof Profa Eng Av Ex Exmo Exma tel Tel nº aprox",
    "nl": "dhr Dhr mevr Mevr mw Mw mej dr Dr ir Ir drs Drs prof Prof tel Tel nr Nr ca jl a.s o.a",
    "pl": "dr Dr inż Inż mgr Mgr prof Prof św Św ul Ul al Al os pl tel Tel nr Nr godz",
    "ru": "г Г ул Ул д кв им проф Проф тел Тел руб коп стр обл пр просп т.е т.к",
    "uk": "м М вул Вул буд кв ім проф тел грн стор обл",
    "sv": "nr Nr kl Kl tel Tel ca dr Dr prof Prof st bl.a t.ex fr.o.m",
    "da": "nr Nr kl Kl tel Tel ca dr Dr prof Prof hr Hr fr Fr bl.a f.eks",
    "nb": "nr Nr kl Kl tlf Tlf ca dr Dr prof Prof bl.a f.eks",
    "cs": "č Č tel Tel ul Ul nám p pí Ing ing MUDr JUDr Mgr prof Prof",
    "hi": "डॉ श्री श्रीमती प्रो कु",
    "th": "นพ พญ ดร ผศ รศ ศ น ร ถ",
    "vi": "TP Tp Q P ThS TS PGS GS BS KS ĐT",
    "ro": "Dl Dna Dra dl dna str Str bd Bd bl Bl nr tel Tel",
    "id": "Bpk Jl Sdr Sdri Kel Kec Kab Prov Yth No Tel telp Telp",
    "hu": "u út krt tel Tel pl Pl ill sz em",
    "tr": "Dr Prof Doç Av Sok Cad Mah No Tel Sn",
}
_ALSO_AT_THE_END = {  # of a sentence; in small letters, whatever they have
    "": "etc incl excl max min mins secs misc resp avg temp ref tel vol fig",
    "en": "est jan feb sept oct nov dec mon tue tues wed thu thur thurs fri sat apt appt assn govt capt corp inc intl "
    "natl univ dist div refs eds cont ave para def orig qty amt encl asst acct attn sub subj tech",
    "de": "mind monatl jährl wöchentl tägl gem entspr ausschl einschl eigtl urspr verh gest insb insbes betr allg abs "
    "abt ust bes ehem zul",
    "es": "depto esq admón",
    "fr": "réf adr dép bât appt éd",
    "it": "pag rif prov",
    "nl": "ong afd",
    "pl": "zob wyd str",
    "pt": "núm pág máx mín depto",
    "ru": "доп макс мин напр",
    "uk": "макс мін напр",
}
_SAME = {"no": "nb", "nn": "nb", "sk": "cs"}

_ORDINALS = "de da nb nn no fi et lv cs sk sl hr sr bs hu tr is pl lb"
# A number with a period is "the fifth" in these, and what follows is a capital in German ("am 5. Mai").
ORDINALS_BY_PERIOD = frozenset(_ORDINALS.split())


@cache
def abbreviations(language: str) -> frozenset[str]:
    """Of the language (its first part, in lower case), without their last period."""
    return frozenset(_LACKING.get(_SAME.get(language, language), "").split())


@cache
def may_be_abbreviations(language: str) -> frozenset[str]:
    """These, and those that end sentences as well, in small letters."""
    also = f"{_ALSO_AT_THE_END['']} {_ALSO_AT_THE_END.get(_SAME.get(language, language), '')}"
    return frozenset((*also.split(), *map(str.lower, abbreviations(language))))
