//! Writes batches as Pythons do, for tests.

use crate::dataset::IMAGE_LEN;
use crate::records::RECORD_LEN;

/// Who writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Python 2 with protocol 2: the published files.
    Python2,
    /// Python 3 with protocol 2: `bytes` are text to be encoded.
    Python3Protocol2,
    /// Python 3 with protocol 4.
    Python3Protocol4,
}

impl Dialect {
    pub(crate) const ALL: [Self; 3] =
        [Self::Python2, Self::Python3Protocol2, Self::Python3Protocol4];
}

/// The batch of the Python version whose official binary layout is `records`.
pub(crate) fn batch(dialect: Dialect, records: &[u8]) -> Vec<u8> {
    let records: Vec<&[u8]> = records.chunks_exact(RECORD_LEN).collect();
    let labels: Vec<u8> = records.iter().map(|record| record[0]).collect();
    let images: Vec<u8> = records.iter().flat_map(|record| &record[1..]).copied().collect();
    let mut w = Writer::new(dialect);
    w.op(b'}').remember().op(b'(');
    w.string(b"batch_label").string(b"training batch 1 of 5");
    w.string(b"labels").op(b']').remember().op(b'(');
    for label in &labels {
        w.op(b'K').op(*label);
    }
    w.op(b'e').string(b"data").array([records.len(), IMAGE_LEN], &images);
    w.string(b"filenames").op(b']').remember().op(b'(');
    for i in 0..records.len() {
        w.string(format!("picture_{i}.png").as_bytes());
    }
    w.op(b'e').op(b'u').op(b'.');
    w.bytes
}

/// A `batches.meta` with these class names.
pub(crate) fn meta(dialect: Dialect, names: &[&str]) -> Vec<u8> {
    let mut w = Writer::new(dialect);
    w.op(b'}').remember().op(b'(').string(b"label_names").op(b']').remember().op(b'(');
    for name in names {
        w.string(name.as_bytes());
    }
    w.op(b'e').op(b'u').op(b'.');
    w.bytes
}

struct Writer {
    dialect: Dialect,
    bytes: Vec<u8>,
    n_remembered: u32,
}

impl Writer {
    fn new(dialect: Dialect) -> Self {
        let bytes = match dialect {
            Dialect::Python3Protocol4 => [&[0x80, 4, 0x95][..], &[0; 8]].concat(),
            _ => vec![0x80, 2],
        };
        Self { dialect, bytes, n_remembered: 0 }
    }

    fn op(&mut self, byte: u8) -> &mut Self {
        self.bytes.push(byte);
        self
    }

    fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    fn remember(&mut self) -> &mut Self {
        let key = self.n_remembered;
        self.n_remembered += 1;
        match (self.dialect, u8::try_from(key)) {
            (Dialect::Python3Protocol4, _) => self.op(0x94),
            (_, Ok(key)) => self.op(b'q').op(key),
            (_, Err(_)) => self.op(b'r').raw(&key.to_le_bytes()),
        }
    }

    /// `short`: opcode with a length of one byte; `long`: with four.
    fn counted(&mut self, short: Option<u8>, long: u8, bytes: &[u8]) -> &mut Self {
        match (short, u8::try_from(bytes.len())) {
            (Some(short), Ok(len)) => self.op(short).op(len),
            _ => self.op(long).raw(&(bytes.len() as u32).to_le_bytes()),
        };
        self.raw(bytes).remember()
    }

    /// Bytes, which were strings in Python 2.
    fn string(&mut self, bytes: &[u8]) -> &mut Self {
        match self.dialect {
            Dialect::Python2 => self.counted(Some(b'U'), b'T', bytes),
            Dialect::Python3Protocol4 => self.counted(Some(b'C'), b'B', bytes),
            Dialect::Python3Protocol2 => {
                let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
                self.global("_codecs", "encode").text(&text).text("latin1");
                self.op(0x86).remember().op(b'R').remember()
            }
        }
    }

    fn text(&mut self, text: &str) -> &mut Self {
        match self.dialect {
            Dialect::Python2 => self.string(text.as_bytes()),
            Dialect::Python3Protocol2 => self.counted(None, b'X', text.as_bytes()),
            Dialect::Python3Protocol4 => self.counted(Some(0x8c), b'X', text.as_bytes()),
        }
    }

    fn global(&mut self, module: &str, name: &str) -> &mut Self {
        match self.dialect {
            Dialect::Python3Protocol4 => self.text(module).text(name).op(0x93),
            _ => self.raw(format!("c{module}\n{name}\n").as_bytes()),
        };
        self.remember()
    }

    fn int(&mut self, value: usize) -> &mut Self {
        match (u8::try_from(value), u16::try_from(value)) {
            (Ok(value), _) => self.op(b'K').op(value),
            (_, Ok(value)) => self.op(b'M').raw(&value.to_le_bytes()),
            _ => self.op(b'J').raw(&(value as u32).to_le_bytes()),
        }
    }

    fn array(&mut self, shape: [usize; 2], values: &[u8]) -> &mut Self {
        let module = match self.dialect {
            Dialect::Python2 => "numpy.core.multiarray",
            _ => "numpy._core.multiarray",
        };
        self.global(module, "_reconstruct").global("numpy", "ndarray");
        self.int(0).op(0x85).remember().string(b"b").op(0x87).remember().op(b'R').remember();
        self.op(b'(').int(1).int(shape[0]).int(shape[1]).op(0x86).remember();
        self.global("numpy", "dtype").text("u1");
        match self.dialect {
            Dialect::Python2 => self.int(0).int(1),
            _ => self.op(0x89).op(0x88),
        };
        self.op(0x87).remember().op(b'R').remember().op(b'(').int(3).text("|").raw(b"NNN");
        self.raw(b"J\xff\xff\xff\xffJ\xff\xff\xff\xff").int(0).op(b't').remember().op(b'b');
        self.op(0x89).string(values).op(b't').remember().op(b'b')
    }
}
