use super::*;
use crate::vocabulary::Vocabulary;
use proptest::collection::vec;
use proptest::prelude::*;

/// Knows `toy.pair`, which makes a tuple's object, and `toy.Class`, whose instances take a state.
struct Toy;

#[derive(Debug, PartialEq)]
enum Object<'a> {
    Pair,
    Class,
    Made(Value<'a>),
}

impl<'a> Vocabulary<'a> for Toy {
    type Object = Object<'a>;

    const OPCODES: &'static [u8] = &[opcode::NEWOBJ, opcode::BINPERSID];

    fn global(&self, module: &'a [u8], name: &'a [u8]) -> Option<Object<'a>> {
        match (module, name) {
            (b"toy", b"pair") => Some(Object::Pair),
            (b"toy", b"Class") => Some(Object::Class),
            _ => None,
        }
    }

    fn call(
        &self,
        heap: &mut Heap<'a, Object<'a>>,
        function: Value<'a>,
        arguments: Value<'a>,
    ) -> Result<Value<'a>, &'static str> {
        match heap.object(function) {
            Some(Object::Pair | Object::Class) => Ok(heap.new_object(Object::Made(arguments))),
            _ => Err("no function"),
        }
    }

    fn build(
        &self,
        heap: &mut Heap<'a, Object<'a>>,
        object: Value<'a>,
        state: Value<'a>,
    ) -> Result<(), &'static str> {
        let object = heap.object_mut(object).ok_or("no object")?;
        *object = Object::Made(state);
        Ok(())
    }

    fn persistent(
        &self,
        heap: &mut Heap<'a, Object<'a>>,
        id: Value<'a>,
    ) -> Result<Value<'a>, &'static str> {
        Ok(heap.new_object(Object::Made(id)))
    }
}

/// Knows nothing.
struct Plain;

impl<'a> Vocabulary<'a> for Plain {
    type Object = ();

    const OPCODES: &'static [u8] = &[];

    fn global(&self, _: &'a [u8], _: &'a [u8]) -> Option<()> {
        None
    }

    fn call(
        &self,
        _: &mut Heap<'a, ()>,
        _: Value<'a>,
        _: Value<'a>,
    ) -> Result<Value<'a>, &'static str> {
        Err("a call")
    }

    fn build(&self, _: &mut Heap<'a, ()>, _: Value<'a>, _: Value<'a>) -> Result<(), &'static str> {
        Err("a state")
    }
}

fn message(bytes: &[u8]) -> String {
    load(bytes, &Plain).unwrap_err().to_string()
}

/// `pickle.dumps(VALUE, protocol=2)` of Python 3.11.
#[test]
fn numbers_are_those_of_python() {
    let cases: [(&[u8], Value<'_>); 9] = [
        (b"\x80\x02K\xff.", Value::Int(255)),
        (b"\x80\x02M\x00\x01.", Value::Int(256)),
        (b"\x80\x02J\xff\xff\xff\xff.", Value::Int(-1)),
        (b"\x80\x02\x8a\x05\x00\x00\x00\x00\x01.", Value::Int(1 << 32)),
        (b"\x80\x02\x8a\x05\xff\xff\xff\x7f\xff.", Value::Int(-(1 << 31) - 1)),
        (b"\x80\x02\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80.", Value::Int(i64::MIN)),
        (b"\x80\x02G?\xb9\x99\x99\x99\x99\x99\x9a.", Value::Float(0.1)),
        (b"\x80\x02\x88.", Value::Bool(true)),
        (b"\x80\x02N.", Value::None),
    ];
    for (bytes, want) in cases {
        assert_eq!(load(bytes, &Plain).unwrap().root, want, "{bytes:?}");
    }
    // 2**63 does not fit.
    let bytes = b"\x80\x02\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00.";
    assert_eq!(message(bytes), "malformed at byte 2: a whole number of more than 64 bits");
}

#[test]
fn what_could_do_harm_is_refused_by_name() {
    // Each of these runs a command, or reads a file, in Python.
    assert_eq!(message(b"cos\nsystem\n(S'id'\ntR."), "refused global os.system");
    assert_eq!(
        message(b"\x80\x02c__builtin__\neval\nU\x011\x85R."),
        "refused global __builtin__.eval"
    );
    let stack_global = b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R.";
    assert_eq!(message(stack_global), "refused global posix.system");
    // INST and OBJ make instances, EXT1 looks one up, PERSID and BINPERSID ask the program.
    for opcode in [b'i', b'o', 0x82, b'P', b'Q', 0x81] {
        let refused = load(&[0x80, 2, opcode, 0, 0], &Plain).unwrap_err();
        assert_eq!(refused, PickleError::Opcode { opcode, at: 2 });
    }
}

#[test]
fn a_long_name_is_cut_off_and_escaped() {
    let bytes = [b"\x80\x02c".as_slice(), &[0x1b; 100_000], b"\nx\n."].concat();
    let text = message(&bytes);
    assert!(text.len() < 400 && text.is_ascii() && !text.contains('\x1b'), "{text}");
}

#[test]
fn lengths_beyond_the_file_are_refused_without_memory() {
    for head in [&b"\x80\x02T"[..], b"\x80\x03B", b"\x80\x02X"] {
        let bytes = [head, &u32::MAX.to_le_bytes(), b"abc"].concat();
        let error = load(&bytes, &Plain).unwrap_err();
        assert_eq!(error, PickleError::End { at: bytes.len() });
    }
    let bytes = [b"\x80\x04\x8e", &u64::MAX.to_le_bytes()[..]].concat();
    assert_eq!(load(&bytes, &Plain).unwrap_err(), PickleError::End { at: bytes.len() });
}

/// Python's references: what is changed after it was remembered is changed everywhere.
#[test]
fn what_is_shared_exists_once() {
    // l = []; t = (l, l); l.append(1); (t, l)
    let pickle = load(b"\x80\x02]q\x00h\x00h\x00\x86q\x01h\x00K\x01a\x86.", &Plain).unwrap();
    let [pair, list] = *pickle.heap.tuple(pickle.root).unwrap() else { panic!("no pair") };
    assert_eq!(pickle.heap.list(list).unwrap(), [Value::Int(1)]);
    assert_eq!(pickle.heap.tuple(pair).unwrap(), [list, list]);
    let object = load(b"\x80\x02ctoy\nClass\n)\x81q\x00h\x00K\x07b\x86.", &Toy).unwrap();
    let [first, second] = *object.heap.tuple(object.root).unwrap() else { panic!("no pair") };
    assert_eq!(first, second);
    assert_eq!(object.heap.object(first), Some(&Object::Made(Value::Int(7))));
}

#[test]
fn a_vocabulary_may_make_objects_and_answer_persistent_ids() {
    let pickle = load(b"\x80\x02ctoy\npair\nK\x01K\x02\x86R.", &Toy).unwrap();
    let Some(Object::Made(pair)) = pickle.heap.object(pickle.root) else { panic!("no object") };
    assert_eq!(pickle.heap.tuple(*pair).unwrap(), [Value::Int(1), Value::Int(2)]);
    let pickle = load(b"\x80\x02X\x01\x00\x00\x000Q.", &Toy).unwrap();
    assert_eq!(pickle.heap.object(pickle.root), Some(&Object::Made(Value::Bytes(b"0"))));
}

#[test]
fn depth_sharing_and_cycles_cost_no_more_than_their_instructions() {
    // A list in a list in a list …
    let nested = [&[0x80, 2][..], &[b']'; 100_000], &[b'a'; 99_999], b"."].concat();
    assert!(load(&nested, &Plain).is_ok());
    // A tuple that doubles at each step: 2 to the power of 64 leaves, were it copied.
    let step = b"h\x00h\x00\x86q\x00".repeat(64);
    let doubling = [&b"\x80\x02]q\x00"[..], &step, b"h\x00."].concat();
    let pickle = load(&doubling, &Plain).unwrap();
    assert_eq!(pickle.heap.tuple(pickle.root).unwrap().len(), 2);
    // A list in itself.
    let cycle = load(b"\x80\x02]q\x00h\x00a.", &Plain).unwrap();
    assert_eq!(cycle.heap.list(cycle.root).unwrap(), [cycle.root]);
}

#[test]
fn too_many_values_are_refused() {
    let many = [&[0x80, 2][..], &[b'N'; 2 * MAX_VALUES], b"."].concat();
    assert_eq!(load(&many, &Plain).unwrap_err(), PickleError::TooMany { limit: MAX_VALUES });
}

#[test]
fn a_mark_protects_what_is_below_it() {
    assert_eq!(message(b"\x80\x02N(\x85."), "malformed at byte 4: the stack has too few values");
    assert_eq!(message(b"\x80\x02N(."), "malformed at byte 4: the stack is empty");
    assert_eq!(message(b"\x80\x02}(Nu."), "malformed at byte 5: a key has no value");
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..300)) {
        let _ = load(&[&[0x80, 2], &bytes[..]].concat(), &Toy);
    }

    /// Opcodes that are known, in random order, reach further than random bytes.
    #[test]
    fn random_programs_never_panic(
        program in vec(
            proptest::sample::select(vec![
                &b"("[..], b"]", b"}", b")", b"N", b"K\x01", b"U\x01a", b"X\x01\0\0\0b", b"q\0",
                b"h\0", b"t", b"\x85", b"\x86", b"\x87", b"a", b"e", b"s", b"u", b"R", b"b",
                b"ctoy\npair\n", b"ctoy\nClass\n", b"\x81", b"Q", b"\x94", b"\x89", b"\x8a\x02\x01\xff",
            ]),
            0..60,
        ),
    ) {
        let _ = load(&[&[0x80, 2], &program.concat()[..], b"."].concat(), &Toy);
    }
}
