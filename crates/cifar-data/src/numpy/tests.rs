use super::writer::{self, Dialect};
use super::*;
use crate::error::DataError;
use crate::python::{class_names, to_records};
use crate::records::RECORD_LEN;
use cifar_testkit::batch as synthetic;
use proptest::collection::vec;
use proptest::prelude::*;
use std::path::Path;

/// Reads `bytes` as a batch of `n` pictures; what is wrong, if anything is.
fn refusal(bytes: &[u8], n: usize) -> Option<PickleError> {
    match to_records(bytes, Path::new("data_batch_3"), n) {
        Ok(_) => None,
        Err(DataError::Pickle { path, source }) => {
            assert_eq!(path, Path::new("data_batch_3"));
            Some(source)
        }
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn every_python_writes_the_same_batch() {
    // More than 255 things to remember, and every byte in a picture.
    let mut records = synthetic(300, 5, 0);
    records[1..RECORD_LEN].iter_mut().zip((0..=255).cycle()).for_each(|(to, byte)| *to = byte);
    for dialect in Dialect::ALL {
        let bytes = writer::batch(dialect, &records);
        let got = to_records(&bytes, Path::new("data_batch_1"), 300).unwrap();
        assert!(got == records, "{dialect:?}");
    }
}

/// `pickle.dumps(numpy.arange(253, 259).astype('uint8').reshape(2, 3), protocol=2)` of Python
/// 3.11 and numpy 2.4, so the writer above is not the only judge.
#[test]
fn an_array_of_numpy_is_read() {
    let bytes = b"\x80\x02cnumpy._core.multiarray\n_reconstruct\nq\x00cnumpy\nndarray\nq\x01K\x00\
        \x85q\x02c_codecs\nencode\nq\x03X\x01\x00\x00\x00bq\x04X\x06\x00\x00\x00latin1q\x05\x86\
        q\x06Rq\x07\x87q\x08Rq\t(K\x01K\x02K\x03\x86q\ncnumpy\ndtype\nq\x0bX\x02\x00\x00\x00u1\
        q\x0c\x89\x88\x87q\rRq\x0e(K\x03X\x01\x00\x00\x00|q\x0fNNNJ\xff\xff\xff\xffJ\xff\xff\xff\
        \xffK\x00tq\x10b\x89h\x03X\t\x00\x00\x00\xc3\xbd\xc3\xbe\xc3\xbf\x00\x01\x02q\x11h\x05\
        \x86q\x12Rq\x13tq\x14b.";
    let pickle = load(bytes).unwrap();
    let Some(Object::Array(array)) = pickle.heap.object(pickle.root) else { panic!("no array") };
    assert_eq!((array.n_rows, array.n_columns), (2, 3));
    assert_eq!(*array.values().unwrap(), [253, 254, 255, 0, 1, 2]);
}

#[test]
fn numpy_may_not_do_anything_else() {
    let error = load(b"\x80\x02cnumpy\nload\n.").unwrap_err();
    assert_eq!(error.to_string(), "refused global numpy.load");
    // No batch has instances of classes or persistent ids.
    for opcode in [0x81, b'Q'] {
        let refused = load(&[0x80, 2, opcode, 0, 0]).unwrap_err();
        assert_eq!(refused, PickleError::Opcode { opcode, at: 2 });
    }
}

#[test]
fn class_names_are_read_in_every_dialect() {
    for dialect in Dialect::ALL {
        let bytes = writer::meta(dialect, &["airplane", "bird"]);
        assert_eq!(class_names(&bytes, Path::new("batches.meta")).unwrap(), ["airplane", "bird"]);
    }
}

#[test]
fn a_batch_that_is_cut_off_anywhere_is_refused() {
    for dialect in Dialect::ALL {
        let bytes = writer::batch(dialect, &synthetic(1, 0, 0));
        for len in 0..bytes.len() {
            assert!(refusal(&bytes[..len], 1).is_some(), "{dialect:?} cut off at {len}");
        }
    }
}

#[test]
fn a_batch_of_another_shape_is_refused() {
    let bytes = writer::batch(Dialect::Python2, &synthetic(3, 0, 0));
    let text = refusal(&bytes, 4).unwrap().to_string();
    assert_eq!(text, "`data` is 3 × 3072, expected 4 × 3072");
    assert_eq!(refusal(b"\x80\x02}.", 4).unwrap().to_string(), "it has no array `data`");
    // Rows by columns that the values do not fill.
    let shape = bytes.windows(5).position(|w| w == b"K\x03M\x00\x0c").unwrap();
    let mut bytes = bytes;
    bytes[shape + 1] = 4;
    let text = refusal(&bytes, 4).unwrap().to_string();
    assert_eq!(text, "`data` does not hold 4 × 3072 bytes");
}

#[test]
fn label_10_names_file_and_record() {
    let mut records = synthetic(3, 0, 0);
    records[RECORD_LEN] = 10;
    let bytes = writer::batch(Dialect::Python2, &records);
    let error = to_records(&bytes, Path::new("data_batch_3"), 3).unwrap_err();
    assert!(error.to_string().starts_with("data_batch_3: record 1 has label 10"), "{error}");
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..300)) {
        let _ = refusal(&[&[0x80, 2], &bytes[..]].concat(), 1);
    }

    /// Opcodes that are known, in random order, reach further than random bytes.
    #[test]
    fn random_programs_never_panic(
        program in vec(
            proptest::sample::select(vec![
                &b"("[..], b"]", b"}", b")", b"N", b"K\x01", b"U\x01a", b"X\x01\0\0\0b", b"q\0",
                b"h\0", b"t", b"\x85", b"\x86", b"\x87", b"a", b"e", b"s", b"u", b"R", b"b",
                b"cnumpy\ndtype\n", b"cnumpy\nndarray\n", b"c_codecs\nencode\n", b"\x94", b"\x89",
                b"cnumpy.core.multiarray\n_reconstruct\n", b"U\x02u1", b"U\x06latin1", b"J\xff\xff\xff\xff",
            ]),
            0..60,
        ),
    ) {
        let _ = load(&[&[0x80, 2], &program.concat()[..], b"."].concat());
    }

    #[test]
    fn mutated_batches_never_panic(
        dialect in proptest::sample::select(Dialect::ALL.to_vec()),
        places in vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = writer::batch(dialect, &synthetic(1, 0, 0));
        // Half of the changes go where the program is, not into the picture.
        for (place, (index, byte)) in places.iter().enumerate() {
            let end = if place % 2 == 0 { 150 } else { bytes.len() };
            bytes[index.index(end)] = *byte;
        }
        let _ = to_records(&bytes, Path::new("data_batch_1"), 1);
    }
}
