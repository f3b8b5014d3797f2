use super::*;

const RECIPE: &str = r#"
name = "tiny"
model = "simplenet"
seed = 0
epochs = 2
batch-size = 8
gradient-accumulation = 1
label-smoothing = 0.0

[data]
validation = 0
normalization = { mean = [0.5, 0.5, 0.5], std = [0.5, 0.5, 0.5] }

[optimizer]
name = "sgd"
learning-rate = 0.01
momentum = 0.0
nesterov = false
weight-decay = 0.0

[schedule]
name = "constant"
"#;

fn refused(settings: &[&str]) -> String {
    let settings: Vec<String> = settings.iter().map(|s| s.to_string()).collect();
    Recipe::from_toml(RECIPE, &settings).unwrap_err().to_string()
}

#[test]
fn reads_back_what_it_writes() {
    let settings = ["clip-norm=1", "data.augmentation.horizontal-flip=true", "ema-decay=0.99"]
        .map(String::from);
    let recipe = Recipe::from_toml(RECIPE, &settings).unwrap();
    assert_eq!(Recipe::from_toml(&recipe.to_toml().unwrap(), &[]).unwrap(), recipe);
    assert_eq!(recipe.clip_norm, Some(1.0));
}

#[test]
fn a_setting_replaces_a_nested_key_and_a_bare_word_is_a_string() {
    let settings = ["optimizer.learning-rate = 0.5".to_owned(), "model=small-resnet".to_owned()];
    let recipe = Recipe::from_toml(RECIPE, &settings).unwrap();
    assert_eq!(recipe.optimizer.learning_rate(), 0.5);
    assert_eq!(recipe.model, "small-resnet");
}

#[test]
fn a_whole_table_can_be_replaced() {
    let settings = ["schedule={name='cosine', min-learning-rate=0.0}".to_owned()];
    let recipe = Recipe::from_toml(RECIPE, &settings).unwrap();
    assert_eq!(recipe.schedule, ScheduleConfig::Cosine { min_learning_rate: 0.0 });
}

#[test]
fn unknown_keys_are_named_at_every_depth() {
    assert!(refused(&["epoch=3"]).contains("epoch"), "{}", refused(&["epoch=3"]));
    assert!(refused(&["optimizer.lr=3"]).contains("lr"), "{}", refused(&["optimizer.lr=3"]));
    assert!(refused(&["schedule.gamma=3"]).contains("gamma"), "{}", refused(&["schedule.gamma=3"]));
    assert!(refused(&["data.augmentation.flip=true"]).contains("flip"));
}

#[test]
fn values_out_of_range_name_the_key_the_value_and_the_range() {
    assert_eq!(refused(&["epochs=0"]), "`epochs` is 0, expected at least 1");
    assert_eq!(
        refused(&["optimizer.learning-rate=nan"]),
        "`optimizer.learning-rate` is NaN, expected a positive number"
    );
    assert_eq!(refused(&["batch-size=0"]), "`batch-size` is 0, expected at least 1");
    assert_eq!(
        refused(&["label-smoothing=1.0"]),
        "`label-smoothing` is 1, expected 0 <= value < 1"
    );
    assert_eq!(
        refused(&["gradient-accumulation=9"]),
        "`gradient-accumulation` is 9, expected 1 to the batch size"
    );
    assert!(
        refused(&["data.normalization.std=[0.0,1.0,1.0]"])
            .contains("`data.normalization.std` is 0")
    );
    assert_eq!(
        refused(&["network.dropout=1.0"]),
        "`network.dropout` is 1, expected 0 <= value < 1"
    );
    assert!(refused(&["early-stop-patience=3"]).contains("data.validation"));
}

#[test]
fn settings_without_a_value_or_through_a_value_are_refused() {
    assert!(refused(&["epochs"]).contains("KEY=VALUE"));
    assert!(refused(&["=3"]).contains("KEY=VALUE"));
    assert!(refused(&["epochs.x=3"]).contains("`epochs` is a value"));
}
