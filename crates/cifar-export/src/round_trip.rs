//! Any net, written and read back in every format, is the same net.

use proptest::prelude::*;

use crate::reread::RereadNet;
use crate::{Dtype, Format, Options, Reread, Subject, test_models, test_nets};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_net_is_read_back_as_it_was_written(
        net in test_nets::any_net(),
        fold_batch_norm: bool,
        half: bool,
    ) {
        let model = test_models::trained(net);
        let dtype = if half { Dtype::F16 } else { Dtype::F32 };
        let subject =
            Subject::new(&model, &Options { fold_batch_norm, preprocess: None, dtype }).unwrap();
        let images = test_models::images(&model.net, 2);
        let tensors = subject.tensors.iter().cloned().collect();
        let rows = |net: &dyn Reread| net.logits(&images).unwrap().to_vec2::<f32>().unwrap();
        let want = rows(&RereadNet::new(&subject.net, tensors).unwrap());
        for format in [Format::Safetensors, Format::TorchScript] {
            let bytes = format.write(&subject, &test_models::metadata()).unwrap();
            let got = rows(&*format.reread(&bytes, &subject).unwrap());
            prop_assert_eq!(&got, &want, "{}", format.name());
        }
    }

    /// Whatever bytes a file consists of, reading it ends, without a panic.
    #[test]
    fn a_damaged_file_is_refused_or_read(
        at in 0usize..100_000,
        bytes in prop::collection::vec(any::<u8>(), 1..8),
    ) {
        let model = test_models::of("simplenet");
        let subject = Subject::new(&model, &test_models::options()).unwrap();
        for format in Format::ALL {
            let mut file = format.write(&subject, &test_models::metadata()).unwrap();
            let at = at % (file.len() - bytes.len());
            file[at..at + bytes.len()].copy_from_slice(&bytes);
            let _ = format.reread(&file, &subject);
        }
    }
}
