//! JSON in a form that is the same for texts that ask for the same.

use crate::wire::json::{Cursor, Members};

/// Writes the top-level members that `counts` admits in the order of their names. What is written is not JSON: names are unescaped and
/// preceded by their length, so that no text can pass for another.
///
/// White space is left out and the members of objects are sorted, at every level; numbers and strings stay as they are spelled. The order of
/// a schema's `properties` stays too: it is the order in which a model writes them.
///
/// `None` where something is nested deeper than 64 levels.
pub(super) fn write(
    members: Members<'_>,
    counts: impl Fn(&str) -> bool,
    out: &mut Vec<u8>,
) -> Option<()> {
    let mut sorted: Vec<_> = members.iter().collect();
    sorted.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    let mut writer = Writer {
        out,
        members: Vec::new(),
        spare: Vec::new(),
    };
    for (name, value) in sorted {
        if !counts(&name) {
            continue;
        }
        writer.name(name.as_bytes());
        // Properties of a schema are never at the top.
        writer.value(&mut Cursor::new(value.raw())?, false, MAX_DEPTH)?;
    }
    Some(())
}

/// Writes `bytes` so that it is told where they end.
pub(super) fn field(bytes: &[u8], out: &mut Vec<u8>) {
    // No text that comes this far is as long as 4 GiB.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes);
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    /// Where the members of the open objects lie in `out`, the innermost's last.
    members: Vec<Member>,
    spare: Vec<u8>,
}

/// Where one member begins in what is written, with its name, and where it ends.
#[derive(Clone, Copy)]
struct Member {
    start: usize,
    name_end: usize,
    end: usize,
}

/// The bytes of a name's length.
const LENGTH: usize = 4;

/// The deepest nesting that is followed, as by [`Cursor`].
const MAX_DEPTH: u32 = 64;

impl Writer<'_> {
    fn name(&mut self, name: &[u8]) {
        field(name, self.out);
    }

    /// Takes the next value, which may have `depth` levels.
    fn value(&mut self, cursor: &mut Cursor<'_>, keeps_order: bool, depth: u32) -> Option<()> {
        match cursor.peek()? {
            b'{' => self.object(cursor, keeps_order, depth.checked_sub(1)?)?,
            b'[' => {
                let depth = depth.checked_sub(1)?;
                self.out.push(b'[');
                cursor.items(|cursor| self.value(cursor, false, depth))?;
                self.out.push(b']');
            }
            _ => {
                self.out.extend_from_slice(cursor.value()?.raw());
                // A number does not say where it ends.
                self.out.push(b',');
            }
        }
        Some(())
    }

    fn object(&mut self, cursor: &mut Cursor<'_>, keeps_order: bool, depth: u32) -> Option<()> {
        self.out.push(b'{');
        let first = self.members.len();
        cursor.members(|cursor, name| {
            let start = self.out.len();
            self.name(name);
            let name_end = self.out.len();
            self.value(cursor, name == b"properties", depth)?;
            self.members.push(Member {
                start,
                name_end,
                end: self.out.len(),
            });
            Some(())
        })?;
        if !keeps_order {
            self.sort(first)?;
        }
        self.members.truncate(first);
        self.out.push(b'}');
        Some(())
    }

    /// Puts the members from `first` on, which were written one after the other, in the order of their names.
    fn sort(&mut self, first: usize) -> Option<()> {
        let Self {
            out,
            members,
            spare,
        } = self;
        let members = members.get_mut(first..)?;
        let name = |member: &Member| out.get(member.start + LENGTH..member.name_end);
        if members.is_sorted_by_key(name) {
            return Some(());
        }
        let start = members.first()?.start;
        // Stable: what a reader makes of a name that is there twice hangs on which comes first.
        members.sort_by_key(name);
        spare.clear();
        for member in members {
            spare.extend_from_slice(out.get(member.start..member.end)?);
        }
        out.truncate(start);
        out.extend_from_slice(spare);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::json::Index;

    fn canonical(text: &str) -> Vec<u8> {
        let index = Index::parse(text.as_bytes()).unwrap();
        let mut out = Vec::new();
        write(index.members(text.as_bytes()), |_| true, &mut out).unwrap();
        out
    }

    #[test]
    fn white_space_the_order_of_members_and_escapes_in_names_do_not_matter() {
        let text = r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"temperature":0}"#;
        for same in [
            r#"{"temperature":0,"messages":[{"content":"hi","role":"user"}],"model":"m"}"#,
            " { \"model\" : \"m\" ,\n\"messages\" : [ { \"role\" : \"user\" , \"content\" : \"hi\" } ] , \"temperature\" : 0 } ",
            r#"{"mod\u0065l":"m","messages":[{"rol\u0065":"user","content":"hi"}],"temperature":0}"#,
        ] {
            assert_eq!(canonical(same), canonical(text), "{same}");
        }
    }

    #[test]
    fn how_numbers_and_strings_are_spelled_and_the_order_of_items_matter() {
        let texts = [
            r#"{"a":[1,2],"b":"x"}"#,
            r#"{"a":[2,1],"b":"x"}"#,
            r#"{"a":[1.0,2],"b":"x"}"#,
            r#"{"a":[12],"b":"x"}"#,
            r#"{"a":[1,2],"b":"\u0078"}"#,
            r#"{"a":[1,2],"b":"x "}"#,
            r#"{"a":[[1,2]],"b":"x"}"#,
            r#"{"a":[1,2],"b":{"x":null}}"#,
            r#"{"a":[1,2],"b":{"x":{}}}"#,
            r#"{"a":[1,2],"b":{"x":[]}}"#,
            r#"{"a":[1,2],"b":{"x":1,"x":2}}"#,
            r#"{"a":[1,2],"b":{"x":2,"x":1}}"#,
            r#"{"a":[1,2]}"#,
        ];
        for (at, one) in texts.iter().enumerate() {
            for other in &texts[..at] {
                assert_ne!(canonical(one), canonical(other), "{one} {other}");
            }
        }
    }

    #[test]
    fn a_schema_s_properties_keep_their_order() {
        let schema = |properties: &str| {
            format!(r#"{{"format":{{"schema":{{"type":"object","properties":{properties}}}}}}}"#)
        };
        let (one, other) = (
            schema(r#"{"why":{"type":"string"},"answer":{}}"#),
            schema(r#"{"answer":{},"why":{"type":"string"}}"#),
        );
        assert_ne!(canonical(&one), canonical(&other));
    }

    #[test]
    fn what_is_nested_too_deeply_has_no_form() {
        let text = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        let index = Index::parse(text.as_bytes()).unwrap();
        let mut out = Vec::new();
        assert!(write(index.members(text.as_bytes()), |_| true, &mut out).is_none());
        // And neither has anything that would overflow the stack on the way there.
        let text = format!("{{\"a\":{}1{}}}", "{\"a\":".repeat(64), "}".repeat(64));
        canonical(&text);
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            any::<i32>().prop_map(serde_json::Value::from),
            "[a-c\"\\\\]{0,3}".prop_map(serde_json::Value::from),
            Just(serde_json::Value::Null),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                prop::collection::btree_map("[a-c]{1,2}", inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// The same value with its members turned round.
    fn reversed(value: &serde_json::Value) -> String {
        match value {
            serde_json::Value::Array(items) => {
                let items: Vec<_> = items.iter().map(reversed).collect();
                format!("[ {} ]", items.join(" , "))
            }
            serde_json::Value::Object(members) => {
                let members = members.iter().rev();
                let members: Vec<_> = members
                    .map(|(name, value)| format!("{:?} : {}", name, reversed(value)))
                    .collect();
                format!("{{ {} }}", members.join(" ,\n"))
            }
            leaf => leaf.to_string(),
        }
    }

    proptest! {
        #[test]
        fn two_texts_have_the_same_form_exactly_if_they_are_the_same_value(one in json(), other in json()) {
            let wrap = |value: &serde_json::Value| format!("{{\"x\":{value}}}");
            prop_assert_eq!(canonical(&wrap(&one)), canonical(&format!("{{\"x\":{}}}", reversed(&one))));
            prop_assert_eq!(canonical(&wrap(&one)) == canonical(&wrap(&other)), one == other);
        }
    }
}
