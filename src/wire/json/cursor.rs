//! Reading JSON in one pass, for questions that are answered without keeping anything.

use std::{borrow::Cow, ops::Range};

use super::{Value, plain::plain, value::unescape};

/// Goes through a JSON text once, from value to value. Holds a position, copies nothing, and allocates for nothing but a
/// member's name that has escapes.
///
/// It accepts what RFC 8259 does, nested as deeply as it may be: a bit of memory a level, and no stack. Every method is `None` for text
/// that is not JSON, or where the caller's own function says so; what the cursor stands at is then not to be relied on.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// At the start of `text`; `None` unless it is UTF-8.
    pub(crate) fn new(text: &'a [u8]) -> Option<Self> {
        // Most text is ASCII, and to find only that takes a third of the time.
        let is_utf8 = text.is_ascii() || std::str::from_utf8(text).is_ok();
        is_utf8.then_some(Self { text, at: 0 })
    }

    /// At the start of what may have strings that are not UTF-8: to those who read on regardless such strings are none.
    pub(crate) fn of_bytes(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// Where it stands, in bytes.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Whether nothing but white space is left.
    pub(crate) fn is_at_end(&mut self) -> bool {
        self.peek().is_none()
    }

    /// The first byte of the next value, or what stands in its place.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        match self.text.get(self.at) {
            // Most texts are written without white space.
            Some(byte @ 0..=b' ') => self.peek_behind_space(*byte),
            next => next.copied(),
        }
    }

    #[cold]
    fn peek_behind_space(&mut self, mut byte: u8) -> Option<u8> {
        while matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
            self.at += 1;
            byte = *self.text.get(self.at)?;
        }
        Some(byte)
    }

    /// Goes through the members of an object. `each` is given the name, without escapes, and must take the value.
    pub(crate) fn members(
        &mut self,
        mut each: impl FnMut(&mut Self, &[u8]) -> Option<()>,
    ) -> Option<()> {
        self.take(b'{')?;
        if self.peek()? == b'}' {
            return self.take(b'}');
        }
        loop {
            let (name, escaped) = self.name()?;
            if escaped {
                each(self, unescape(name)?.as_bytes())?;
            } else {
                each(self, name.get(1..name.len() - 1)?)?;
            }
            if !self.goes_on(b'}')? {
                return Some(());
            }
        }
    }

    /// Goes through the members of an object: where each name lies, with its quotes, whether it has escapes, and where its value
    /// lies.
    pub(super) fn spans(
        &mut self,
        mut each: impl FnMut(Range<usize>, bool, Range<usize>) -> Option<()>,
    ) -> Option<()> {
        self.take(b'{')?;
        if self.peek()? == b'}' {
            return self.take(b'}');
        }
        loop {
            self.peek()?;
            let start = self.at;
            let escaped = self.string()?;
            let name = start..self.at;
            self.take(b':')?;
            self.peek()?;
            let start = self.at;
            self.skip()?;
            each(name, escaped, start..self.at)?;
            if !self.goes_on(b'}')? {
                return Some(());
            }
        }
    }

    /// Goes through the items of an array. `each` must take one.
    pub(crate) fn items(&mut self, mut each: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.take(b'[')?;
        if self.peek()? == b']' {
            return self.take(b']');
        }
        loop {
            each(self)?;
            if !self.goes_on(b']')? {
                return Some(());
            }
        }
    }

    /// Takes the next value, whatever it is.
    pub(crate) fn value(&mut self) -> Option<Value<'a>> {
        self.peek()?;
        let start = self.at;
        self.skip()?;
        self.text.get(start..self.at).map(Value::new)
    }

    /// Takes a string. Its text is borrowed unless it has escapes.
    pub(crate) fn text(&mut self) -> Option<Cow<'a, str>> {
        if self.peek()? != b'"' {
            return None;
        }
        self.value()?.as_str()
    }

    /// Whether `,` comes next rather than `close`; takes it.
    fn goes_on(&mut self, close: u8) -> Option<bool> {
        let goes_on = match self.peek()? {
            b',' => true,
            byte if byte == close => false,
            _ => return None,
        };
        self.at += 1;
        Some(goes_on)
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// A member's name with its quotes, and whether it has escapes; takes the colon too.
    fn name(&mut self) -> Option<(&'a [u8], bool)> {
        self.peek()?;
        let start = self.at;
        let escaped = self.string()?;
        let name = self.text.get(start..self.at)?;
        self.take(b':')?;
        Some((name, escaped))
    }

    /// Takes the next value, whatever it is, and nothing of it.
    pub(crate) fn skip(&mut self) -> Option<()> {
        match self.peek()? {
            b'{' | b'[' => self.skip_nested(),
            first => self.skip_flat(first),
        }
    }

    /// Takes a value that holds no other, which begins with `first`.
    #[inline]
    fn skip_flat(&mut self, first: u8) -> Option<()> {
        match first {
            b'"' => self.string().map(drop),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => self.number(),
        }
    }

    fn skip_nested(&mut self) -> Option<()> {
        // The kinds of the open levels, the innermost in the lowest bit: 1 for an object. Those that are further out than a word
        // reaches wait in `outer`, a word at a time.
        let (mut levels, mut depth) = (0_u64, 0_u32);
        let mut outer = Vec::new();
        loop {
            match self.peek()? {
                open @ (b'{' | b'[') => {
                    if depth == u64::BITS {
                        outer.push(std::mem::take(&mut levels));
                        depth = 0;
                    }
                    self.at += 1;
                    depth += 1;
                    let is_object = open == b'{';
                    levels = levels << 1 | u64::from(is_object);
                    if self.peek()? != open + 2 {
                        if is_object {
                            self.name()?;
                        }
                        continue;
                    }
                }
                first => self.skip_flat(first)?,
            }
            // What ended was a value: it is followed by another, or by the ends of those around it.
            loop {
                if depth == 0 {
                    let Some(next) = outer.pop() else {
                        return Some(());
                    };
                    (levels, depth) = (next, u64::BITS);
                }
                let is_object = levels & 1 == 1;
                if self.goes_on(if is_object { b'}' } else { b']' })? {
                    if is_object {
                        self.name()?;
                    }
                    break;
                }
                levels >>= 1;
                depth -= 1;
            }
        }
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        let is_next = self.text.get(self.at..)?.starts_with(word);
        is_next.then(|| self.at += word.len())
    }

    /// Takes a string; whether it has escapes.
    #[inline]
    fn string(&mut self) -> Option<bool> {
        let rest = self.text.get(self.at..)?.strip_prefix(b"\"")?;
        let length = plain(rest);
        if rest.get(length) == Some(&b'"') {
            self.at += length + 2;
            return Some(false);
        }
        self.at += length + 1;
        self.escapes().map(|()| true)
    }

    /// Takes what is left of a string from its first escape on.
    fn escapes(&mut self) -> Option<()> {
        let mut rest = self.text.get(self.at..)?;
        loop {
            let escape = match rest.get(plain(rest)..)? {
                [b'"', after @ ..] => {
                    self.at = self.text.len() - after.len();
                    return Some(());
                }
                [b'\\', escape @ ..] => escape,
                _ => return None,
            };
            rest = match escape {
                [b'u', a, b, c, d, after @ ..]
                    if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) =>
                {
                    after
                }
                [
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't',
                    after @ ..,
                ] => after,
                _ => return None,
            };
        }
    }

    fn number(&mut self) -> Option<()> {
        self.at += usize::from(self.text.get(self.at) == Some(&b'-'));
        let starts_with_zero = self.text.get(self.at) == Some(&b'0');
        if self.digits()? > 1 && starts_with_zero {
            return None;
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.text.get(self.at), Some(b'+' | b'-')));
            self.digits()?;
        }
        Some(())
    }

    /// Takes at least one digit; how many.
    fn digits(&mut self) -> Option<usize> {
        let rest = self.text.get(self.at..)?;
        let is_other = |byte: &u8| !byte.is_ascii_digit();
        let count = rest.iter().position(is_other).unwrap_or(rest.len());
        self.at += count;
        (count > 0).then_some(count)
    }
}

#[cfg(test)]
mod tests;
