"""The national languages' tables of the GSM alphabet: 3GPP TS 23.038, Annex A.

Only data. What it means is in :mod:`vumi.codecs.gsm_shifts`.

Marks and right-to-left letters are written as escapes: editors join and reorder them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LANGUAGES", "LOCKING_SHIFTS", "SINGLE_SHIFTS"]

#: National language identifiers (section 6.2.1.2.4).
LANGUAGES: Mapping[str, int] = {
    "turkish": 1,
    "spanish": 2,
    "portuguese": 3,
    "bengali": 4,
    "gujarati": 5,
    "hindi": 6,
    "kannada": 7,
    "malayalam": 8,
    "oriya": 9,
    "punjabi": 10,
    "tamil": 11,
    "telugu": 12,
    "urdu": 13,
}

#: Annex A.3: what replaces the default alphabet, by language; U+FFFD where a code is not used.
#: Spanish has no such table.
LOCKING_SHIFTS: Mapping[int, str] = {
    # Turkish
    1: (
        "@£$¥€éù\u0131òÇ\nĞğ\rÅå"
        "Δ_ΦΓΛΩΠΨΣΘΞ\x1bŞşßÉ"
        " !\"#¤%&'()*+,-./"
        "0123456789:;<=>?"
        "İABCDEFGHIJKLMNO"
        "PQRSTUVWXYZÄÖÑÜ§"
        "çabcdefghijklmno"
        "pqrstuvwxyzäöñüà"
    ),
    # Portuguese
    3: (
        "@£$¥êéúíóç\nÔô\rÁá"
        "Δ_ªÇÀ∞^\\€Ó|\x1bÂâÊÉ"
        " !\"#º%&'()*+,-./"
        "0123456789:;<=>?"
        "ÍABCDEFGHIJKLMNO"
        "PQRSTUVWXYZÃÕÚÜ§"
        "~abcdefghijklmno"
        "pqrstuvwxyzãõ`üà"
    ),
    # Bengali
    4: (
        "\u0981\u0982\u0983অআইঈউঊঋ\nঌ\ufffd\r\ufffdএ"
        "ঐ\ufffd\ufffdওঔকখগঘঙচ\x1bছজঝঞ"
        " !টঠডঢণত)(থদ,ধ.ন"
        "0123456789:;\ufffdপফ?"
        "বভমযর\ufffdল\ufffd\ufffd\ufffdশষসহ\u09bcঽ"
        "\u09be\u09bf\u09c0\u09c1\u09c2\u09c3\u09c4\ufffd\ufffd\u09c7\u09c8\ufffd\ufffd\u09cb\u09cc\u09cd"
        "ৎabcdefghijklmno"
        "pqrstuvwxyz\u09d7\u09dc\u09ddৰৱ"
    ),
    # Gujarati
    5: (
        "\u0a81\u0a82\u0a83અઆઇઈઉઊઋ\nઌઍ\r\ufffdએ"
        "ઐઑ\ufffdઓઔકખગઘઙચ\x1bછજઝઞ"
        " !ટઠડઢણત)(થદ,ધ.ન"
        "0123456789:;\ufffdપફ?"
        "બભમયર\ufffdલળ\ufffdવશષસહ\u0abcઽ"
        "\u0abe\u0abf\u0ac0\u0ac1\u0ac2\u0ac3\u0ac4\u0ac5\ufffd\u0ac7\u0ac8\u0ac9\ufffd\u0acb\u0acc\u0acd"
        "ૐabcdefghijklmno"
        "pqrstuvwxyzૠૡ\u0ae2\u0ae3૱"
    ),
    # Hindi
    6: (
        "\u0901\u0902\u0903अआइईउऊऋ\nऌऍ\rऎए"
        "ऐऑऒओऔकखगघङच\x1bछजझञ"
        " !टठडढणत)(थद,ध.न"
        "0123456789:;ऩपफ?"
        "बभमयरऱलळऴवशषसह\u093cऽ"
        "\u093e\u093f\u0940\u0941\u0942\u0943\u0944\u0945\u0946\u0947\u0948\u0949\u094a\u094b\u094c\u094d"
        "ॐabcdefghijklmno"
        "pqrstuvwxyzॲॻॼॾॿ"
    ),
    # Kannada
    7: (
        "\ufffd\u0c82\u0c83ಅಆಇಈಉಊಋ\nಌ\ufffd\rಎಏ"
        "ಐ\ufffdಒಓಔಕಖಗಘಙಚ\x1bಛಜಝಞ"
        " !ಟಠಡಢಣತ)(ಥದ,ಧ.ನ"
        "0123456789:;\ufffdಪಫ?"
        "ಬಭಮಯರಱಲಳ\ufffdವಶಷಸಹ\u0cbcಽ"
        "\u0cbe\u0cbf\u0cc0\u0cc1\u0cc2\u0cc3\u0cc4\ufffd\u0cc6\u0cc7\u0cc8\ufffd\u0cca\u0ccb\u0ccc\u0ccd"
        "\u0cd5abcdefghijklmno"
        "pqrstuvwxyz\u0cd6ೠೡ\u0ce2\u0ce3"
    ),
    # Malayalam
    8: (
        "\ufffd\u0d02\u0d03അആഇഈഉഊഋ\nഌ\ufffd\rഎഏ"
        "ഐ\ufffdഒഓഔകഖഗഘങച\x1bഛജഝഞ"
        " !ടഠഡഢണത)(ഥദ,ധ.ന"
        "0123456789:;\ufffdപഫ?"
        "ബഭമയരറലളഴവശഷസഹ\ufffdഽ"
        "\u0d3e\u0d3f\u0d40\u0d41\u0d42\u0d43\u0d44\ufffd\u0d46\u0d47\u0d48\ufffd\u0d4a\u0d4b\u0d4c\u0d4d"
        "\u0d57abcdefghijklmno"
        "pqrstuvwxyzൠൡ\u0d62\u0d63൹"
    ),
    # Oriya
    9: (
        "\u0b01\u0b02\u0b03ଅଆଇଈଉଊଋ\nଌ\ufffd\r\ufffdଏ"
        "ଐ\ufffd\ufffdଓଔକଖଗଘଙଚ\x1bଛଜଝଞ"
        " !ଟଠଡଢଣତ)(ଥଦ,ଧ.ନ"
        "0123456789:;\ufffdପଫ?"
        "ବଭମଯର\ufffdଲଳ\ufffdଵଶଷସହ\u0b3cଽ"
        "\u0b3e\u0b3f\u0b40\u0b41\u0b42\u0b43\u0b44\ufffd\ufffd\u0b47\u0b48\ufffd\ufffd\u0b4b\u0b4c\u0b4d"
        "\u0b56abcdefghijklmno"
        "pqrstuvwxyz\u0b57ୠୡ\u0b62\u0b63"
    ),
    # Punjabi
    10: (
        "\u0a01\u0a02\u0a03ਅਆਇਈਉਊ\ufffd\n\ufffd\ufffd\r\ufffdਏ"
        "ਐ\ufffd\ufffdਓਔਕਖਗਘਙਚ\x1bਛਜਝਞ"
        " !ਟਠਡਢਣਤ)(ਥਦ,ਧ.ਨ"
        "0123456789:;\ufffdਪਫ?"
        "ਬਭਮਯਰ\ufffdਲ\u0a33\ufffdਵ\u0a36\ufffdਸਹ\u0a3c\ufffd"
        "\u0a3e\u0a3f\u0a40\u0a41\u0a42\ufffd\ufffd\ufffd\ufffd\u0a47\u0a48\ufffd\ufffd\u0a4b\u0a4c\u0a4d"
        "\u0a51abcdefghijklmno"
        "pqrstuvwxyz\u0a70\u0a71ੲੳੴ"
    ),
    # Tamil
    11: (
        "\ufffd\u0b82ஃஅஆஇஈஉஊ\ufffd\n\ufffd\ufffd\rஎஏ"
        "ஐ\ufffdஒஓஔக\ufffd\ufffd\ufffdஙச\x1b\ufffdஜ\ufffdஞ"
        " !ட\ufffd\ufffd\ufffdணத)(\ufffd\ufffd,\ufffd.ந"
        "0123456789:;னப\ufffd?"
        "\ufffd\ufffdமயரறலளழவஶஷஸஹ\ufffd\ufffd"
        "\u0bbe\u0bbf\u0bc0\u0bc1\u0bc2\ufffd\ufffd\ufffd\u0bc6\u0bc7\u0bc8\ufffd\u0bca\u0bcb\u0bcc\u0bcd"
        "ௐabcdefghijklmno"
        "pqrstuvwxyz\u0bd7௰௱௲௹"
    ),
    # Telugu
    12: (
        "\u0c01\u0c02\u0c03అఆఇఈఉఊఋ\nఌ\ufffd\rఎఏ"
        "ఐ\ufffdఒఓఔకఖగఘఙచ\x1bఛజఝఞ"
        " !టఠడఢణత)(థద,ధ.న"
        "0123456789:;\ufffdపఫ?"
        "బభమయరఱలళ\ufffdవశషసహ\ufffdఽ"
        "\u0c3e\u0c3f\u0c40\u0c41\u0c42\u0c43\u0c44\ufffd\u0c46\u0c47\u0c48\ufffd\u0c4a\u0c4b\u0c4c\u0c4d"
        "\u0c55abcdefghijklmno"
        "pqrstuvwxyz\u0c56ౠౡ\u0c62\u0c63"
    ),
    # Urdu
    13: (
        "\u0627\u0622\u0628\u067b\u0680\u067e\u06a6\u062a\u06c2\u067f\n\u0679\u067d\r\u067a\u067c"
        "\u062b\u062c\u0681\u0684\u0683\u0685\u0686\u0687\u062d\u062e\u062f\x1b\u068c\u0688\u0689\u068a"
        " !\u068f\u068d\u0630\u0631\u0691\u0693)(\u0699\u0632,\u0696.\u0698"
        "0123456789:;\u069a\u0633\u0634?"
        "\u0635\u0636\u0637\u0638\u0639\u0641\u0642\u06a9\u06aa\u06ab\u06af\u06b3\u06b1\u0644\u0645\u0646"
        "\u06ba\u06bb\u06bc\u0648\u06c4\u06d5\u06c1\u06be\u0621\u06cc\u06d0\u06d2\u064d\u0650\u064f\u0657"
        "\u0654abcdefghijklmno"
        "pqrstuvwxyz\u0655\u0651\u0653\u0656\u0670"
    ),
}

#: Annex A.2: what replaces the default extension table, by language: a code, and the characters
#: from there on.
SINGLE_SHIFTS: Mapping[int, Mapping[int, str]] = {
    # Turkish
    1: {
        0x0A: "\f",
        0x14: "^",
        0x28: "{}",
        0x2F: "\\",
        0x3C: "[~]",
        0x40: "|",
        0x47: "Ğ",
        0x49: "İ",
        0x53: "Ş",
        0x63: "ç",
        0x65: "€",
        0x67: "ğ",
        0x69: "\u0131",
        0x73: "ş",
    },
    # Spanish
    2: {
        0x09: "ç\f",
        0x14: "^",
        0x28: "{}",
        0x2F: "\\",
        0x3C: "[~]",
        0x40: "|Á",
        0x49: "Í",
        0x4F: "Ó",
        0x55: "Ú",
        0x61: "á",
        0x65: "€",
        0x69: "í",
        0x6F: "ó",
        0x75: "ú",
    },
    # Portuguese
    3: {
        0x05: "ê",
        0x09: "ç\fÔô",
        0x0E: "Áá",
        0x12: "ΦΓ^ΩΠΨΣΘ",
        0x1F: "Ê",
        0x28: "{}",
        0x2F: "\\",
        0x3C: "[~]",
        0x40: "|À",
        0x49: "Í",
        0x4F: "Ó",
        0x55: "Ú",
        0x5B: "ÃÕ",
        0x61: "Â",
        0x65: "€",
        0x69: "í",
        0x6F: "ó",
        0x75: "ú",
        0x7B: "ãõ",
        0x7F: "â",
    },
    # Bengali
    4: {
        0x00: "@£$¥¿\"¤%&'\f*+",
        0x0E: "-/<=>¡^¡_#*০১",
        0x1C: "২৩৪৫৬৭৮৯\u09dfৠৡ\u09e2{}\u09e3৲৳৴৵\\৶৷৸৹৺",
        0x3C: "[~]",
        0x40: "|ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        0x65: "€",
    },
    # Gujarati
    5: {
        0x00: "@£$¥¿\"¤%&'\f*+",
        0x0E: "-/<=>¡^¡_#*।॥",
        0x1C: "૦૧૨૩૪૫૬૭૮૯",
        0x28: "{}",
        0x2F: "\\",
        0x3C: "[~]",
        0x40: "|ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        0x65: "€",
    },
    # Hindi
    6: {
        0x00: "@£$¥¿\"¤%&'\f*+",
        0x0E: "-/<=>¡^¡_#*।॥",
        0x1C: (
            "०१२३४५६७८९\u0951\u0952{}\u0953\u0954\u0958\u0959\u095a\\\u095b\u095c\u095d"
            "\u095e\u095fॠॡ\u0962\u0963॰ॱ"
        ),
        0x3C: "[~]",
        0x40: "|ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        0x65: "€",
    },
    # Kannada
    7: {
        0x00: "@£$¥¿\"¤%&'\f*+",
        0x0E: "-/<=>¡^¡_#*।॥",
        0x1C: "೦೧೨೩೪೫೬೭೮೯ೞೱ{}ೲ",
        0x2F: "\\",
        0x3C: "[~]",
        0x40: "|ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        0x65: "€",
    },
    # Malayalam
    8: {
        0x00: "@£$¥¿\"¤%&'\f*+",
        0x0E: "-/<=>¡^¡_#*।॥",
        0x1C: "൦൧൨൩൪൫൬൭൮൯൰൱{}൲൳൴൵ൺ\\ൻർൽൾൿ",
        0x3C: "[~]",
        0x40: "|ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        0x65: "€",
    },
    # Oriya
    9: {
        0x00: "@£$¥¿\"¤%&'\f*+",
        0x0E: "-/<=>¡^¡_#*।॥",
        0x1C: "୦୧୨୩୪୫୬୭୮୯\u0b5c\u0b5d{}ୟ୰ୱ",
        0x2F: "\\",
        0x3C: "[~]",
        0x40: "|ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        0x65: "€",
    },
    # Punjabi
    10: {
        0x00: "@£$¥¿\"¤%&'\f*+",
        0x0E: "-/<=>¡^¡_#*।॥",
        0x1C: "੦੧੨੩੪੫੬੭੮੯\u0a59\u0a5a{}\u0a5bੜ\u0a5e\u0a75",
        0x2F: "\\",
        0x3C: "[~]",
        0x40: "|ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        0x65: "€",
    },
    # Tamil
    11: {
        0x00: "@£$¥¿\"¤%&'\f*+",
        0x0E: "-/<=>¡^¡_#*।॥",
        0x1C: "௦௧௨௩௪௫௬௭௮௯௳௴{}௵௶௷௸௺\\",
        0x3C: "[~]",
        0x40: "|ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        0x65: "€",
    },
    # Telugu
    12: {
        0x00: "@£$¥¿\"¤%&'\f*+",
        0x0E: "-/<=>¡^¡_#*",
        0x1C: "౦౧౨౩౪౫౬౭౮౯ౘౙ{}౸౹౺౻౼\\౽౾౿",
        0x3C: "[~]",
        0x40: "|ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    },
    # Urdu
    13: {
        0x00: "@£$¥¿\"¤%&'\f*+",
        0x0E: "-/<=>¡^¡_#*\u0600\u0601",
        0x1C: (
            "۰۱۲۳۴۵۶۷۸۹،\u060d{}؎؏\u0610\u0611\u0612\\\u0613\u0614\u061b\u061f\u0640\u0652"
            "\u0658\u066b\u066c\u0672\u0673\u06cd[~]\u06d4|ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        ),
        0x65: "€",
    },
}
