//! The values of a file's metadata.

/// A list of texts in one piece of memory: no more than the same list takes in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strings {
    text: String,
    ends: Vec<usize>,
}

impl Strings {
    /// Adds a text at the end.
    pub fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len());
    }

    /// How many texts there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The text at `index`, from 0.
    pub fn get(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)?;
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        Some(&self.text[start..end])
    }

    /// The texts, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |&end| &self.text[std::mem::replace(&mut start, end)..end])
    }
}

impl<S: AsRef<str>> FromIterator<S> for Strings {
    fn from_iter<I: IntoIterator<Item = S>>(texts: I) -> Self {
        let mut strings = Strings::default();
        texts.into_iter().for_each(|text| strings.push(text.as_ref()));
        strings
    }
}

/// Declares [`Value`], [`Array`] and [`ValueType`] from one list of the types that a file may hold.
macro_rules! values {
    ($($variant:ident($scalar:ty, $list:ty) = $id:literal, $name:literal;)*) => {
        /// A value of the metadata. Source: the GGUF specification, `gguf_metadata_value_type`.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs)]
        pub enum Value { $($variant($scalar),)* Array(Array) }

        /// A list of values of one type. Lists of lists, which the specification has, are unknown to llama.cpp and
        /// to this reader.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs)]
        pub enum Array { $($variant($list),)* }

        /// The type of a value, or of the items of a list.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs)]
        pub enum ValueType { $($variant = $id,)* }

        impl ValueType {
            /// The type with this number in a file; none for a list.
            pub fn from_id(id: u32) -> Option<Self> {
                match id { $($id => Some(Self::$variant),)* _ => None }
            }

            /// Its name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }

        impl Value {
            /// The type of the value, or of the items if it is a list.
            pub fn kind(&self) -> ValueType {
                match self {
                    $(Value::$variant(_) => ValueType::$variant,)*
                    Value::Array(array) => array.kind(),
                }
            }
        }

        impl Array {
            /// The type of the items.
            pub fn kind(&self) -> ValueType {
                match self { $(Array::$variant(_) => ValueType::$variant,)* }
            }

            /// How many items there are.
            pub fn len(&self) -> usize {
                match self { $(Array::$variant(list) => list.len(),)* }
            }

            /// Whether there is none.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }
        }
    };
}

values! {
    U8(u8, Vec<u8>) = 0, "u8";
    I8(i8, Vec<i8>) = 1, "i8";
    U16(u16, Vec<u16>) = 2, "u16";
    I16(i16, Vec<i16>) = 3, "i16";
    U32(u32, Vec<u32>) = 4, "u32";
    I32(i32, Vec<i32>) = 5, "i32";
    F32(f32, Vec<f32>) = 6, "f32";
    Bool(bool, Vec<bool>) = 7, "bool";
    String(String, Strings) = 8, "string";
    U64(u64, Vec<u64>) = 10, "u64";
    I64(i64, Vec<i64>) = 11, "i64";
    F64(f64, Vec<f64>) = 12, "f64";
}

/// The number that says that a list follows.
pub(super) const ARRAY: u32 = 9;

impl Value {
    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, if it is one, of any width, and not negative.
    pub fn as_uint(&self) -> Option<u64> {
        match *self {
            Value::U8(n) => Some(n.into()),
            Value::U16(n) => Some(n.into()),
            Value::U32(n) => Some(n.into()),
            Value::U64(n) => Some(n),
            Value::I8(n) => n.try_into().ok(),
            Value::I16(n) => n.try_into().ok(),
            Value::I32(n) => n.try_into().ok(),
            Value::I64(n) => n.try_into().ok(),
            _ => None,
        }
    }

    /// The number, if it is a float of either width.
    pub fn as_float(&self) -> Option<f64> {
        match *self {
            Value::F32(x) => Some(x.into()),
            Value::F64(x) => Some(x),
            _ => None,
        }
    }

    /// The truth value, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match *self {
            Value::Bool(truth) => Some(truth),
            _ => None,
        }
    }

    /// The texts, if it is a list of them.
    pub fn as_strings(&self) -> Option<&Strings> {
        match self {
            Value::Array(Array::String(texts)) => Some(texts),
            _ => None,
        }
    }

    /// What it is, in words, such as `u32` or `a list of string`.
    pub fn describe(&self) -> String {
        match self {
            Value::Array(array) => format!("a list of {}", array.kind().name()),
            other => other.kind().name().into(),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::String(text.into())
    }
}
impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::String(text)
    }
}
impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Value::U32(number)
    }
}
impl From<f32> for Value {
    fn from(number: f32) -> Self {
        Value::F32(number)
    }
}
impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Value::Bool(truth)
    }
}
impl From<Strings> for Value {
    fn from(texts: Strings) -> Self {
        Value::Array(Array::String(texts))
    }
}
impl From<Vec<i32>> for Value {
    fn from(numbers: Vec<i32>) -> Self {
        Value::Array(Array::I32(numbers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_keep_their_bounds() {
        let strings: Strings = ["a", "", "bc"].into_iter().collect();
        assert_eq!(strings.iter().collect::<Vec<_>>(), ["a", "", "bc"]);
        assert_eq!(
            (strings.get(0), strings.get(1), strings.get(2), strings.get(3)),
            (Some("a"), Some(""), Some("bc"), None)
        );
    }

    #[test]
    fn whole_numbers_of_any_width_are_one() {
        assert_eq!(Value::I8(-1).as_uint(), None);
        assert_eq!(Value::I64(7).as_uint(), Some(7));
        assert_eq!(Value::F32(7.0).as_uint(), None);
        assert_eq!(Value::U8(7).as_float(), None);
    }
}
