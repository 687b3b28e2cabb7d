//! The languages the sandbox gets along in: how one tells and asks a name, and what it says when it knows no better.

/// One language. `{}` stands for the name, or for the question.
#[derive(Debug)]
pub(super) struct Tongue {
    /// What gives it away: a range of letters, or small words.
    letters: Option<(char, char)>,
    small_words: &'static [&'static str],
    pub(super) has_spaces: bool,
    /// What stands before a name, and what may end it.
    pub(super) tells_name: &'static [(&'static str, &'static [&'static str])],
    pub(super) asks_name: &'static [&'static str],
    pub(super) your_name: &'static str,
    pub(super) no_name: &'static str,
    pub(super) nice_to_meet: &'static str,
    pub(super) greetings: &'static [&'static str],
    pub(super) hello: &'static str,
    pub(super) hello_again: &'static str,
    pub(super) about: &'static [&'static str],
    pub(super) then: &'static [&'static str],
}

/// The language of a text; English when nothing gives another away.
pub(super) fn of(text: &str) -> &'static Tongue {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower.split(|letter: char| !letter.is_alphanumeric() && letter != '\'').collect();
    let weigh = |tongue: &Tongue| {
        let letters =
            tongue.letters.map_or(0, |(first, last)| text.chars().filter(|c| (first..=last).contains(c)).count());
        2 * letters + words.iter().filter(|word| tongue.small_words.contains(word)).count()
    };
    // Of equals the first in the list: `max_by_key` takes the last.
    let weighed = TONGUES.iter().rev().map(|tongue| (weigh(tongue), *tongue));
    weighed.max_by_key(|(weight, _)| *weight).filter(|(weight, _)| *weight > 0).map_or(&ENGLISH, |(_, tongue)| tongue)
}

pub(super) static TONGUES: &[&Tongue] =
    &[&ENGLISH, &HINDI, &JAPANESE, &CHINESE, &KOREAN, &RUSSIAN, &ARABIC, &GERMAN, &FRENCH, &SPANISH];

pub(super) static ENGLISH: Tongue = Tongue {
    letters: None,
    small_words: &["the", "is", "are", "what", "how", "why", "do", "you", "of", "and", "to", "my", "can"],
    has_spaces: true,
    tells_name: &[("my name is ", &[]), ("my name's ", &[]), ("i am called ", &[]), ("call me ", &[])],
    asks_name: &[
        "what is my name",
        "what's my name",
        "what’s my name",
        "whats my name",
        "who am i",
        "know my name",
        "remember my name",
        "tell me my name",
        "say my name",
    ],
    your_name: "Your name is {}.",
    no_name: "You have not told me your name yet.",
    nice_to_meet: "Nice to meet you, {}! What would you like to talk about?",
    greetings: &["hello", "hi", "hey", "hi there", "hello there", "good morning", "good evening"],
    hello: "Hello! How can I help you today?",
    hello_again: "Hello again, {}! What can I do for you?",
    about: &[
        "You asked: “{}”",
        "That is a good question: “{}”",
        "Let me think about “{}”.",
        "So you would like to know more about “{}”.",
    ],
    then: &[
        "I am the sandbox that stands in for Gemini, so this answer is made up, but it arrives as a real one does.",
        "In the sandbox nothing is looked up; with an API key the same question goes to Gemini itself.",
        "This sandbox only knows what you tell it: your name, for example, or that your favourite colour is green.",
        "A real model would go into detail here. The sandbox keeps it short and always gives the same answer.",
    ],
};

static HINDI: Tongue = Tongue {
    letters: Some(('\u{900}', '\u{97f}')),
    small_words: &["hai", "kya", "mera", "naam", "kaise", "aap", "mujhe", "nahi"],
    has_spaces: true,
    tells_name: &[("मेरा नाम ", &[" है", " हैं"]), ("mera naam ", &[" hai", " hain"])],
    asks_name: &["मेरा नाम क्या", "mera naam kya", "मैं कौन हूँ"],
    your_name: "आपका नाम {} है।",
    no_name: "आपने अभी तक अपना नाम नहीं बताया है।",
    nice_to_meet: "आपसे मिलकर अच्छा लगा, {}! आप किस बारे में बात करना चाहेंगे?",
    greetings: &["नमस्ते", "नमस्कार", "namaste", "namaskar"],
    hello: "नमस्ते! मैं आपकी क्या मदद कर सकता हूँ?",
    hello_again: "फिर से नमस्ते, {}! मैं आपके लिए क्या कर सकता हूँ?",
    about: &["आपने पूछा: “{}”", "यह अच्छा सवाल है: “{}”", "“{}” के बारे में सोचते हैं।"],
    then: &[
        "मैं Gemini की जगह काम करने वाला सैंडबॉक्स हूँ, इसलिए यह जवाब केवल एक नमूना है।",
        "सैंडबॉक्स में कुछ खोजा नहीं जाता; API कुंजी के साथ यही सवाल Gemini तक जाता है।",
        "यह सैंडबॉक्स केवल वही जानता है जो आप उसे बताते हैं।",
    ],
};

static JAPANESE: Tongue = Tongue {
    letters: Some(('\u{3040}', '\u{30ff}')),
    small_words: &[],
    has_spaces: false,
    tells_name: &[("私の名前は", &["です", "だ"]), ("名前は", &["です", "だ"])],
    asks_name: &["私の名前は何", "名前は何", "名前を覚えて"],
    your_name: "あなたの名前は{}です。",
    no_name: "まだお名前を伺っていません。",
    nice_to_meet: "はじめまして、{}さん。何についてお話ししましょうか。",
    greetings: &["こんにちは", "こんばんは", "おはよう", "おはようございます"],
    hello: "こんにちは。何かお手伝いできることはありますか。",
    hello_again: "またお会いしましたね、{}さん。何をお手伝いしましょうか。",
    about: &["「{}」というご質問ですね。", "「{}」について考えてみましょう。"],
    then: &[
        "私はGeminiの代わりをするサンドボックスなので、これは見本の回答です。",
        "サンドボックスでは何も調べません。APIキーがあれば、同じ質問はGeminiに届きます。",
    ],
};

static CHINESE: Tongue = Tongue {
    letters: Some(('\u{4e00}', '\u{9fff}')),
    small_words: &[],
    has_spaces: false,
    tells_name: &[("我叫", &[]), ("我的名字是", &[]), ("我的名字叫", &[])],
    asks_name: &["我叫什么", "我的名字是什么", "我的名字叫什么", "我是谁"],
    your_name: "你叫{}。",
    no_name: "你还没有告诉我你的名字。",
    nice_to_meet: "很高兴认识你，{}！你想聊些什么？",
    greetings: &["你好", "您好", "早上好", "晚上好"],
    hello: "你好！有什么可以帮你的吗？",
    hello_again: "又见面了，{}！有什么可以帮你的吗？",
    about: &["你问的是：“{}”", "这个问题很好：“{}”", "我们来想一想“{}”。"],
    then: &[
        "我是代替Gemini的沙盒，所以这只是一个示例回答。",
        "沙盒不会查找任何资料；有了API密钥，同样的问题会发给Gemini。",
        "这个沙盒只知道你告诉它的事情。",
    ],
};

static KOREAN: Tongue = Tongue {
    letters: Some(('\u{ac00}', '\u{d7a3}')),
    small_words: &[],
    has_spaces: true,
    tells_name: &[
        ("내 이름은 ", &["입니다", "이야", "야", "이에요", "예요"]),
        ("제 이름은 ", &["입니다", "이에요", "예요"]),
    ],
    asks_name: &["내 이름이 뭐", "내 이름은 뭐", "제 이름이 뭐", "제 이름은 무엇"],
    your_name: "당신의 이름은 {}입니다.",
    no_name: "아직 이름을 알려 주지 않으셨어요.",
    nice_to_meet: "만나서 반가워요, {}님! 무엇에 대해 이야기할까요?",
    greetings: &["안녕", "안녕하세요"],
    hello: "안녕하세요! 무엇을 도와드릴까요?",
    hello_again: "다시 만나서 반가워요, {}님! 무엇을 도와드릴까요?",
    about: &["“{}”라고 물으셨네요.", "“{}”, 좋은 질문이에요."],
    then: &[
        "저는 Gemini를 대신하는 샌드박스라서 이 답변은 예시일 뿐입니다.",
        "샌드박스는 아무것도 찾아보지 않습니다. API 키가 있으면 같은 질문이 Gemini로 전달됩니다.",
    ],
};

static RUSSIAN: Tongue = Tongue {
    letters: Some(('\u{400}', '\u{4ff}')),
    small_words: &[],
    has_spaces: true,
    tells_name: &[("меня зовут ", &[]), ("Меня зовут ", &[]), ("моё имя ", &[]), ("Моё имя ", &[])],
    asks_name: &["как меня зовут", "какое у меня имя", "кто я"],
    your_name: "Вас зовут {}.",
    no_name: "Вы ещё не назвали своё имя.",
    nice_to_meet: "Приятно познакомиться, {}! О чём поговорим?",
    greetings: &["привет", "здравствуйте", "добрый день"],
    hello: "Здравствуйте! Чем могу помочь?",
    hello_again: "И снова здравствуйте, {}! Чем могу помочь?",
    about: &["Вы спросили: “{}”", "Хороший вопрос: “{}”"],
    then: &[
        "Я песочница, которая заменяет Gemini, поэтому этот ответ — лишь пример.",
        "Здесь песочница, она ничего не ищет; с ключом API тот же вопрос получит сам Gemini.",
    ],
};

static ARABIC: Tongue = Tongue {
    letters: Some(('\u{600}', '\u{6ff}')),
    small_words: &[],
    has_spaces: true,
    tells_name: &[("اسمي هو ", &[]), ("اسمي ", &[])],
    asks_name: &["ما اسمي", "ما هو اسمي", "من أنا"],
    your_name: "اسمك {}.",
    no_name: "لم تخبرني باسمك بعد.",
    nice_to_meet: "سررت بلقائك يا {}! عمّ تود أن نتحدث؟",
    greetings: &["مرحبا", "السلام عليكم", "أهلا"],
    hello: "مرحبًا! كيف يمكنني مساعدتك؟",
    hello_again: "مرحبًا من جديد يا {}! كيف يمكنني مساعدتك؟",
    about: &["سألت: “{}”", "سؤال جيد: “{}”"],
    then: &[
        "أنا خادم تجريبي يحل محل Gemini، لذا فهذه الإجابة مجرد مثال.",
        "هذا وضع تجريبي، ومع مفتاح API يصل السؤال نفسه إلى Gemini.",
    ],
};

static GERMAN: Tongue = Tongue {
    letters: None,
    small_words: &["der", "die", "das", "ist", "und", "wie", "warum", "ich", "nicht", "ein", "eine", "wer", "wo"],
    has_spaces: true,
    tells_name: &[("ich heiße ", &[" und "]), ("ich heisse ", &[" und "]), ("mein name ist ", &[" und "])],
    asks_name: &["wie heiße ich", "wie heisse ich", "wie ist mein name", "wer bin ich"],
    your_name: "Du heißt {}.",
    no_name: "Du hast mir deinen Namen noch nicht gesagt.",
    nice_to_meet: "Schön, dich kennenzulernen, {}! Worüber möchtest du sprechen?",
    greetings: &["hallo", "guten tag", "guten morgen", "guten abend"],
    hello: "Hallo! Wie kann ich helfen?",
    hello_again: "Hallo noch einmal, {}! Wie kann ich helfen?",
    about: &["Du hast gefragt: “{}”", "Das ist eine gute Frage: “{}”"],
    then: &[
        "Ich bin die Sandbox anstelle von Gemini, deshalb ist diese Antwort nur ein Beispiel.",
        "In der Sandbox wird nichts nachgeschlagen; mit einem API-Schlüssel geht dieselbe Frage an Gemini.",
    ],
};

static FRENCH: Tongue = Tongue {
    letters: None,
    small_words: &["le", "la", "les", "est", "et", "je", "pourquoi", "comment", "une", "que", "qui", "des"],
    has_spaces: true,
    tells_name: &[("je m'appelle ", &[" et "]), ("je m’appelle ", &[" et "]), ("mon nom est ", &[" et "])],
    asks_name: &["comment je m'appelle", "comment je m’appelle", "quel est mon nom", "qui suis-je"],
    your_name: "Tu t'appelles {}.",
    no_name: "Tu ne m'as pas encore dit ton nom.",
    nice_to_meet: "Enchanté, {} ! De quoi veux-tu parler ?",
    greetings: &["bonjour", "salut", "bonsoir"],
    hello: "Bonjour ! Comment puis-je aider ?",
    hello_again: "Re-bonjour, {} ! Comment puis-je aider ?",
    about: &["Tu as demandé : “{}”", "C'est une bonne question : “{}”"],
    then: &[
        "Je suis la sandbox qui remplace Gemini : cette réponse n'est qu'un exemple.",
        "La sandbox ne cherche rien ; avec une clé d'API, la même question va à Gemini.",
    ],
};

static SPANISH: Tongue = Tongue {
    letters: None,
    small_words: &["el", "los", "las", "es", "y", "por", "qué", "cómo", "una", "que", "quién", "del"],
    has_spaces: true,
    tells_name: &[("me llamo ", &[" y "]), ("mi nombre es ", &[" y "])],
    asks_name: &["cómo me llamo", "como me llamo", "cuál es mi nombre", "cual es mi nombre", "quién soy"],
    your_name: "Te llamas {}.",
    no_name: "Todavía no me has dicho tu nombre.",
    nice_to_meet: "¡Encantado, {}! ¿De qué quieres hablar?",
    greetings: &["hola", "buenos días", "buenas tardes"],
    hello: "¡Hola! ¿En qué puedo ayudar?",
    hello_again: "¡Hola de nuevo, {}! ¿En qué puedo ayudar?",
    about: &["Has preguntado: “{}”", "Es una buena pregunta: “{}”"],
    then: &[
        "Soy el sandbox que sustituye a Gemini, así que esta respuesta es solo un ejemplo.",
        "El sandbox no busca nada; con una clave de API la misma pregunta va a Gemini.",
    ],
};
