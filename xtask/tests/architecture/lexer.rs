//! Enough of Rust's lexical structure to find paths: no comments, no literals, no items for tests only.

/// A word or a sign, and its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// An identifier, `::`, or a single character.
    pub text: String,
    pub line: usize,
}

/// The tokens of a source, without what `#[cfg(test)]` stands before.
pub fn tokens(source: &str) -> Vec<Token> {
    without_tests(lex(source))
}

fn lex(source: &str) -> Vec<Token> {
    let characters: Vec<char> = source.chars().collect();
    let at = |index: usize| characters.get(index).copied().unwrap_or('\0');
    let (mut index, mut line) = (0, 1);
    let mut tokens = Vec::new();
    while index < characters.len() {
        let start = index;
        match at(index) {
            '/' if at(index + 1) == '/' => {
                while index < characters.len() && at(index) != '\n' {
                    index += 1;
                }
            }
            '/' if at(index + 1) == '*' => {
                let mut depth = 0;
                while index < characters.len() {
                    match (at(index), at(index + 1)) {
                        ('/', '*') => (depth, index) = (depth + 1, index + 2),
                        ('*', '/') => (depth, index) = (depth - 1, index + 2),
                        _ => index += 1,
                    }
                    if depth == 0 {
                        break;
                    }
                }
            }
            '"' => index = end_of_string(&characters, index),
            'r' if is_raw_string(&characters, index + 1) => index = end_of_raw_string(&characters, index + 1),
            'b' | 'c' if at(index + 1) == '"' => index = end_of_string(&characters, index + 1),
            'b' | 'c' if at(index + 1) == 'r' && is_raw_string(&characters, index + 2) => {
                index = end_of_raw_string(&characters, index + 2);
            }
            // A character, not a lifetime.
            '\'' if at(index + 1) == '\\' => {
                index += 3;
                while index < characters.len() && at(index) != '\'' {
                    index += 1;
                }
                index += 1;
            }
            '\'' if at(index + 2) == '\'' => index += 3,
            letter if letter.is_alphabetic() || letter == '_' => {
                while at(index).is_alphanumeric() || at(index) == '_' {
                    index += 1;
                }
                let text = characters.iter().take(index).skip(start).collect();
                tokens.push(Token { text, line });
            }
            ':' if at(index + 1) == ':' => {
                index += 2;
                tokens.push(Token { text: "::".into(), line });
            }
            space if space.is_whitespace() => index += 1,
            sign => {
                index += 1;
                tokens.push(Token { text: sign.into(), line });
            }
        }
        line += characters.iter().take(index).skip(start).filter(|character| **character == '\n').count();
    }
    tokens
}

fn end_of_string(characters: &[char], start: usize) -> usize {
    let mut index = start + 1;
    loop {
        match characters.get(index) {
            Some('\\') => index += 2,
            Some('"') => return index + 1,
            Some(_) => index += 1,
            None => return characters.len(),
        }
    }
}

/// Whether `#..."` stands here, behind the `r`.
fn is_raw_string(characters: &[char], start: usize) -> bool {
    characters.iter().skip(start).find(|character| **character != '#') == Some(&'"')
}

fn end_of_raw_string(characters: &[char], start: usize) -> usize {
    let hashes = characters.iter().skip(start).take_while(|character| **character == '#').count();
    let mut index = start + hashes + 1;
    while index < characters.len() {
        let closed = characters.iter().skip(index + 1).take_while(|character| **character == '#').count();
        if characters.get(index) == Some(&'"') && closed >= hashes {
            return index + 1 + hashes;
        }
        index += 1;
    }
    index
}

fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    let mut kept = Vec::new();
    let mut rest = tokens.as_slice();
    while let [token, behind @ ..] = rest {
        let words: Vec<&str> = rest.iter().take(6).map(|token| token.text.as_str()).collect();
        let is_test = matches!(words[..], ["#", "[", "cfg", "(", "test", ..])
            || matches!(words[..], ["#", "[", "cfg", "(", "all", "("])
                && rest.get(6).is_some_and(|token| token.text == "test");
        if is_test {
            rest = behind_item(rest);
        } else {
            kept.push(token.clone());
            rest = behind;
        }
    }
    kept
}

/// What follows an item with its attributes: it ends with a `;`, or with the `}` of its body.
fn behind_item(mut rest: &[Token]) -> &[Token] {
    let mut depth = 0;
    while let [token, behind @ ..] = rest {
        rest = behind;
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            ")" | "]" => depth -= 1,
            "}" => {
                depth -= 1;
                if depth == 0 {
                    break;
                }
            }
            ";" if depth == 0 => break,
            _ => {}
        }
    }
    rest
}

#[test]
fn literals_comments_and_tests_are_no_tokens() {
    let source = "use a::b; // c::d\n/* e /* f */ */ let g = \"h\\\"::i\"; 'j: 'k' '\\n' r#\"l\"m\"# \n\
                  #[cfg(test)]\n#[x]\nmod tests { use n::o; fn p() {} }\nuse q::{r};";
    let words: Vec<_> = tokens(source).into_iter().map(|token| token.text).collect();
    assert_eq!(words.join(" "), "use a :: b ; let g = ; ' j : use q :: { r } ;");
    assert_eq!(tokens("a\n\n\"x\n\"b").last().map(|token| token.line), Some(4));
}
