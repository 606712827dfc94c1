"""Frequent characters and words, by which the encoding of a text is known: a wrong one decodes it to rare ones."""

# ruff: noqa: RUF001

COMMON_SIGNS = frozenset("，。！？、；：“”‘’「」『』《》（）【】·…—–－　～«»„‚€£©®°´½×-")  # of many languages

_SIMPLIFIED = (
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事成方多经"
    "么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日者意无力它与长把机十民第公此已工使情明性知全三又"
    "关点正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月话合回特代内信表化老给世位次度门任常先海"
    "通教儿原东声提立及比员解水名真论处走义各入几口认条平系气题活尔更别打女变四神总何电数安少报才结反受目太量再感建务做接必场件计管"
    "期市直德资命山金指克许统区保至队形社便空决治展马科司五基眼书非则听白却界达光放强即像难且权思王象完设式色路记南品住告类求据程北"
    "边死张该交规万取拉格望觉术领共确传师观清今切院让识候带导争运影片剧演喜欢差"
)
_TRADITIONAL = (
    "的一是不了在人有我他這個們中來上大為和國地到以說時要就出會可也你對生能而子那得於著下自之年過發後作裡用道行所然家種事成方多經"
    "麼去法學如都同現當沒動面起看定天分還進好小部其些主樣理心她本前開但因只從想實日者意無力它與長把機十民第公此已工使情明性知全三又"
    "關點正業外將兩高間由問很最重並物手應戰向頭文體政美相見被利什二等產或新己制身果加西斯月話合回特代內信表化老給世位次度門任常先海"
    "通教兒原東聲提立及比員解水名真論處走義各入幾口認條平系氣題活爾更別打女變四神總何電數安少報才結反受目太量再感建務做接必場件計管"
    "期市直德資命山金指克許統區保至隊形社便空決治展馬科司五基眼書非則聽白卻界達光放強即像難且權思王象完設式色路記南品住告類求據程北"
    "邊死張該交規萬取拉格望覺術領共確傳師觀清今切院讓識候帶導爭運影片劇演喜歡差非"
)
_KANA = "".join(chr(code) for code in [*range(0x3041, 0x3094), *range(0x30A1, 0x30F7), 0x30FC])
_HANGUL = (
    "이다는을의가에고하지도를은한로기사인어아니있그나리자으시것들해게라만대일스정보여과부전수서동구주원제상영화면할장내성중재미었았습"
    "였무너좋말진생각요네거더안조소비우연마음오계방감모세야바신실때신적경위명발관당용분현트건저추선매유공배드반거레속까또개문회입럼많"
)
_CYRILLIC = "оеаинтсрвлкмдпуія"
_GREEK = "αοιετσνηυρπκμςλάίόέή"
_HEBREW = "יוהלאתרבשמנ"
_ARABIC = "اليمونرتبةعدسف"
_THAI = "านรอกเงมยลวดทสตะปบคหแจพชขใไโ่้าิีัุู์"
_WESTERN = "àáâãäåæçèéêëìíîïñòóôõöøœùúûüýÿßÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØŒÙÚÛÜŸ¿¡"
_CENTRAL = "áâăäąćçčďđéęëěíîłľĺńňóôőöŕřśšşșťţțúůűüýźżžßÁÂĂÄĄĆÇČĎĐÉĘËĚÍÎŁĽŃŇÓÔŐÖŘŚŠŞŤŢÚŮŰÜÝŹŻŽ"
_TURKISH = "âçğıîöşûüÂÇĞİÎÖŞÛÜ"

# Encodings of scripts whose characters stand side by side, and the characters that are frequent in them.
DENSE = {
    "gb18030": frozenset(_SIMPLIFIED),
    "big5": frozenset(_TRADITIONAL),
    "cp932": frozenset(_KANA),
    "euc_jp": frozenset(_KANA),
    "cp949": frozenset(_HANGUL),
    "cp1251": frozenset(_CYRILLIC),
    "koi8_r": frozenset(_CYRILLIC),
    "cp1253": frozenset(_GREEK),
    "cp1255": frozenset(_HEBREW),
    "cp1256": frozenset(_ARABIC),
    "cp874": frozenset(_THAI),
}
# Fractions of a text that they make up, below which it is another encoding; a wrong one decodes to half as many.
LEAST = {name: 0.25 if name in ("gb18030", "big5", "cp932", "euc_jp", "cp949") else 0.6 for name in DENSE}
# Encodings of Latin letters, and those with accents, which stand among plain ones.
LATIN = {"cp1252": frozenset(_WESTERN), "cp1250": frozenset(_CENTRAL), "cp1254": frozenset(_TURKISH)}
LEAST |= dict.fromkeys(LATIN, 0.9)
# Plain words by which languages of the same letters are known: none is a word of a language in another row.
WORDS = {
    "cp1252": frozenset(
        [
            "the",
            "and",
            "of",
            "is",
            "was",
            "this",
            "with",
            "film",
            "le",
            "les",
            "est",
            "une",
            "des",
            "que",
            "pas",
            "dans",
            "pour",
            "avec",
            "der",
            "die",
            "und",
            "das",
            "ist",
            "nicht",
            "ein",
            "ich",
            "el",
            "los",
            "las",
            "por",
            "para",
            "con",
            "una",
            "muy",
            "che",
            "della",
            "sono",
            "per",
            "una",
            "uma",
            "com",
            "het",
            "een",
            "van",
            "og",
            "ikke",
            "jeg",
            "och",
            "inte",
            "ett",
        ]
    ),
    "cp1250": frozenset(
        [
            "nie",
            "jest",
            "jak",
            "tak",
            "ale",
            "sie",
            "dla",
            "tego",
            "przez",
            "czy",
            "bardzo",
            "jsem",
            "jako",
            "ktery",
            "nebo",
            "velmi",
            "nem",
            "egy",
            "hogy",
            "vagy",
            "este",
            "sunt",
            "pe",
            "foarte",
            "dar",
            "din",
            "sau",
            "nije",
            "kako",
            "sam",
            "vrlo",
        ]
    ),
    "cp1254": frozenset(
        ["bir", "ve", "bu", "ama", "daha", "gibi", "kadar", "olan", "sonra", "ile", "ben", "film", "ne"]
    )
    - {"film", "ne"},
}
