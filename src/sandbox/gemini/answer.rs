//! What the sandbox answers: from the conversation where it can, else a sensible sentence about the question,
//! in the question's language. The same conversation always gets the same answer.

use super::asked::Asked;
use super::files;
use super::recall;
use super::tongues::{self, ENGLISH, Tongue};
use super::words::without_orders;

/// Letters of the question that are repeated in an answer.
const TOPIC: usize = 120;

/// Says what files it got before it answers.
pub(super) fn answer(asked: &Asked) -> String {
    let answer = in_words_alone(asked);
    match asked.files() {
        [] => answer,
        got => format!("I got {}. {answer}", files::in_words(got)),
    }
}

fn in_words_alone(asked: &Asked) -> String {
    if let Some(told) = about_a_transcript(asked) {
        return told;
    }
    let question = without_orders(asked.last());
    let earlier: Vec<String> =
        asked.turns.iter().rev().skip(1).filter(|turn| turn.is_user).map(|turn| without_orders(&turn.text)).collect();
    let tongue = tongues::of(&question);
    recall::about_the_name(&question, &earlier)
        .or_else(|| echo(&question))
        .or_else(|| recall::about_a_fact(&question, &earlier))
        .or_else(|| recall::about_the_conversation(&question, &earlier))
        .or_else(|| sum(&question))
        .or_else(|| greeting(&question, &earlier, tongue))
        .unwrap_or_else(|| sentences(&question, asked, tongue))
}

/// Who is told to give a title or to sum up gets what people said in the text that they show: for a title the beginning, for
/// a summary a piece of each.
fn about_a_transcript(asked: &Asked) -> Option<String> {
    const TITLE: usize = 40;
    const PIECE: usize = 200;
    let order = asked.system.as_deref()?.to_ascii_lowercase();
    let said = asked.last().lines().filter_map(|line| {
        ["User: ", "Summary so far: "].iter().find_map(|word| line.strip_prefix(word)).map(str::trim)
    });
    if order.contains("title") {
        return said.filter(|line| !line.is_empty()).map(|line| cut(line, TITLE)).next();
    }
    let pieces: Vec<String> = said.map(|line| cut(line, PIECE)).collect();
    (order.contains("sum up") && !pieces.is_empty()).then(|| pieces.join(" "))
}

/// "Say hello": `hello`.
fn echo(question: &str) -> Option<String> {
    const ORDERS: &[&str] = &[
        "say exactly ",
        "say only ",
        "say ",
        "repeat after me: ",
        "repeat after me ",
        "repeat: ",
        "repeat ",
        "echo ",
        "reply with only ",
        "reply only with ",
        "reply with ",
        "answer with only ",
        "answer only with ",
        "answer with ",
        "please say ",
        "just say ",
    ];
    let lower = question.to_ascii_lowercase();
    let order = ORDERS.iter().find(|order| lower.starts_with(**order))?;
    let rest = question[order.len()..].trim().trim_start_matches("the word ");
    let rest = rest.trim_matches(|letter| matches!(letter, '"' | '\'' | '“' | '”' | '‘' | '’' | '`'));
    let rest = rest.strip_suffix('.').filter(|rest| !rest.ends_with('.')).unwrap_or(rest);
    (!rest.is_empty()).then(|| rest.trim_matches(['"', '\'', '”', '’', '`']).to_owned())
}

/// "What is 17 + 25?": `17 + 25 = 42.`
fn sum(question: &str) -> Option<String> {
    let spaced: String = question
        .replace(" plus ", " + ")
        .replace(" minus ", " - ")
        .replace(" times ", " * ")
        .replace(" divided by ", " / ")
        .chars()
        .flat_map(|letter| match letter {
            '+' | '-' | '*' | '/' | '×' | '÷' | '=' | '?' => vec![' ', letter, ' '],
            letter => vec![letter],
        })
        .collect();
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let found = words.windows(3).find_map(|three| {
        let (left, right) = (three[0].parse::<i64>().ok()?, three[2].parse::<i64>().ok()?);
        let result = match three[1] {
            "+" => left.checked_add(right)?,
            "-" => left.checked_sub(right)?,
            "*" | "×" | "x" => left.checked_mul(right)?,
            "/" | "÷" => left.checked_rem(right).filter(|rest| *rest == 0).and_then(|_| left.checked_div(right))?,
            _ => return None,
        };
        Some(format!("{left} {} {right} = {result}.", three[1]))
    })?;
    // A date or a telephone number in a long text is not a sum to do.
    (words.len() <= 12).then_some(found)
}

fn greeting(question: &str, earlier: &[String], tongue: &Tongue) -> Option<String> {
    let plain = question.trim_matches(|letter: char| !letter.is_alphanumeric() && letter.is_ascii()).to_lowercase();
    let plain = plain.trim_end_matches(['！', '。', '।', '?', '？', '!', ' ']);
    if ["thanks", "thank you", "thx", "thank you very much", "thanks a lot"].contains(&plain) {
        return Some("You are welcome! Is there anything else?".to_owned());
    }
    if !tongue.greetings.contains(&plain) && !ENGLISH.greetings.contains(&plain) {
        return None;
    }
    Some(match recall::name(earlier) {
        Some((name, _)) => tongue.hello_again.replace("{}", &name),
        None => tongue.hello.to_owned(),
    })
}

fn sentences(question: &str, asked: &Asked, tongue: &Tongue) -> String {
    let mut seed = FNV_START;
    for turn in &asked.turns {
        seed = fnv(seed, turn.text.as_bytes());
    }
    let topic = topic(question);
    let first = choose(tongue.about, seed).replace("{}", &topic);
    let second = choose(tongue.then, seed / 7);
    let gap = if tongue.has_spaces { " " } else { "" };
    format!("{first}{gap}{second}")
}

fn choose<'a>(from: &[&'a str], seed: u64) -> &'a str {
    let at = seed % from.len().max(1) as u64;
    from.get(usize::try_from(at).unwrap_or(0)).copied().unwrap_or_default()
}

/// The beginning of the question.
fn topic(question: &str) -> String {
    cut(question, TOPIC)
}

/// So many letters, cut after a whole word where there are words.
fn cut(text: &str, letters: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some((end, _)) = line.char_indices().nth(letters) else { return line };
    let cut = &line[..end];
    let cut = cut.rfind(' ').filter(|at| *at > end / 2).map_or(cut, |at| &cut[..at]);
    format!("{cut}…")
}

// FNV-1a, so that answers stay the same with every compiler.
const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

fn fnv(seed: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(seed, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::asked;
    use super::*;

    /// The answer to the last of these; the user speaks first, then by turns.
    fn after(turns: &[&str]) -> String {
        let roles = ["user", "model"].iter().cycle();
        let contents: Vec<_> =
            turns.iter().zip(roles).map(|(text, role)| json!({"role": role, "parts": [{"text": text}]})).collect();
        answer(&asked::generate(&json!({ "contents": contents }), 65_536).expect("a good request"))
    }

    #[test]
    fn a_name_that_was_told_is_known() {
        for (told, asked, expected) in [
            ("My name is Ada.", "What is my name?", "Your name is Ada."),
            ("hello, my name is Ada Lovelace and I like sums", "what's my name", "Your name is Ada Lovelace."),
            ("Hi! I'm Ada.", "Do you remember my name?", "Your name is Ada."),
            ("call me Ishmael", "who am i", "Your name is Ishmael."),
            ("मेरा नाम अदा है", "मेरा नाम क्या है?", "आपका नाम अदा है।"),
            ("我叫小明。", "我叫什么？", "你叫小明。"),
            ("私の名前はアダです", "私の名前は何ですか", "あなたの名前はアダです。"),
            ("Меня зовут Ада", "Как меня зовут?", "Вас зовут Ада."),
            ("Ich heiße Jürgen", "Wie heiße ich?", "Du heißt Jürgen."),
            ("Je m'appelle Zoé", "Comment je m'appelle ?", "Tu t'appelles Zoé."),
            ("Me llamo Íñigo", "¿Cómo me llamo?", "Te llamas Íñigo."),
            ("my name is Ada", "मेरा नाम क्या है", "आपका नाम Ada है।"),
        ] {
            assert_eq!(after(&[told, "ok", "and then?", "ok", asked]), expected, "{told}");
        }
        assert_eq!(after(&["What is my name?"]), "You have not told me your name yet.");
        let corrected = after(&["my name is Ada", "hi", "Actually my name is Grace", "hi", "what is my name?"]);
        assert_eq!(corrected, "Your name is Grace.");
    }

    #[test]
    fn other_facts_are_known_too() {
        let told = "My favourite colour is dark green. My dog's name is Rex";
        assert_eq!(after(&[told, "ok", "what is my favourite colour?"]), "Your favourite colour is dark green.");
        assert_eq!(after(&[told, "ok", "What's my dog's name?"]), "Your dog's name is Rex.");
        assert_eq!(after(&["one", "ok", "What did I just say?"]), "You said: “one”");
    }

    #[test]
    fn orders_sums_and_greetings() {
        assert_eq!(after(&["Say \"pineapple\"."]), "pineapple");
        assert_eq!(after(&["Reply with only नमस्ते"]), "नमस्ते");
        assert_eq!(after(&["What is 17+25?"]), "17 + 25 = 42.");
        assert_eq!(after(&["What is 7 divided by 0?"]), after(&["What is 7 divided by 0?"]));
        assert_eq!(after(&["hello!"]), ENGLISH.hello);
        assert_eq!(after(&["my name is Ada", "ok", "Hi"]), "Hello again, Ada! What can I do for you?");
    }

    #[test]
    fn any_other_question_is_reflected_in_its_language() {
        for (question, word) in [
            ("Why is the sky blue?", "sandbox"),
            ("आकाश नीला क्यों है?", "सैंडबॉक्स"),
            ("天空为什么是蓝色的？", "沙盒"),
            ("空はなぜ青いのですか", "サンドボックス"),
            ("Почему небо голубое?", "песочница"),
            ("لماذا السماء زرقاء؟", "تجريبي"),
            ("하늘은 왜 파란가요?", "샌드박스"),
            ("Warum ist der Himmel blau?", "Sandbox"),
            ("👩‍👩‍👧🎉", "👩‍👩‍👧🎉"),
        ] {
            let answer = after(&[question]);
            assert!(answer.contains(question) && answer.contains(word), "{answer}");
            assert_eq!(answer, after(&[question]));
        }
        let answers: std::collections::HashSet<String> =
            (0..20).map(|at| after(&[&format!("question {at}?")])).collect();
        assert_eq!(answers.len(), 20);
    }
}
