use roxmltree::{Document, Node};

use crate::drawing::{Drawing, Format};
use crate::probe::{paths, texts};
use crate::{
    CellText, EpochPoint, Picture, StepPoint, class_distribution, confusion_matrix, picture_grid,
    training_history,
};

fn svg(drawing: &Drawing) -> String {
    let mut bytes = Vec::new();
    drawing.write(Format::Svg, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn elements<'a, 'input>(document: &'a Document<'input>, name: &str) -> Vec<Node<'a, 'input>> {
    document.descendants().filter(|node| node.has_tag_name(name)).collect()
}

#[test]
fn an_svg_has_the_texts_and_lines_of_the_picture() {
    let step =
        |step| StepPoint { step, loss: 2.0, accuracy: 0.1, learning_rate: 0.1, gradient_norm: 1.0 };
    let steps: Vec<_> = (1..=300).map(step).collect();
    let epoch = EpochPoint { epoch: 1, step: 300, loss: 1.0, accuracy: 0.5 };
    let drawing = training_history("A < B & \"C\"", &steps, &[epoch]);
    let text = svg(&drawing);
    let document = Document::parse(&text).unwrap();
    let root = document.root_element();
    assert_eq!(root.attribute("width"), Some("800"));
    assert!(root.attribute("font-family").is_some_and(|fonts| fonts.ends_with("monospace")));
    let found: Vec<_> = elements(&document, "text").iter().filter_map(|node| node.text()).collect();
    assert_eq!(found, texts(&drawing));
    let lines = elements(&document, "polyline");
    let names: Vec<_> =
        lines.iter().filter_map(|line| line.first_element_child()?.text()).collect();
    assert_eq!(names, paths(&drawing).iter().map(|path| &path.name).collect::<Vec<_>>());
    for line in lines {
        let numbers = line.attribute("points").unwrap().split([' ', ',']);
        assert!(numbers.map(|number| number.parse::<f64>().unwrap()).all(f64::is_finite));
    }
}

#[test]
fn the_other_charts_are_xml_too_and_pictures_are_embedded() {
    let names = ["cat", "dog"].map(String::from);
    let matrix = cifar_metrics::ConfusionMatrix::new(2);
    let picture = Picture { pixels: &[7; 3072], caption: "a\u{1}b".to_owned() };
    let drawings = [
        class_distribution("", &names, &[3, 0]),
        confusion_matrix("", &names, &matrix, CellText::Percent),
        picture_grid("", &[picture.clone(), picture], 2),
    ];
    let n_pictures = drawings.map(|drawing| {
        let text = svg(&drawing);
        let document = Document::parse(&text).unwrap();
        let embedded = |node: &Node| {
            node.attribute("href")
                .is_some_and(|link| link.starts_with("data:image/png;base64,iVBOR"))
        };
        elements(&document, "image").iter().filter(|node| embedded(node)).count()
    });
    assert_eq!(n_pictures, [0, 0, 2]);
}
