//! The code of an archive as classes, statements and expressions.

use std::collections::HashMap;

/// Why the code is not of the dialect.
pub(super) type Parsed<T> = Result<T, String>;

/// Brackets within brackets that an expression may have.
const MAX_DEPTH: usize = 32;

/// A class of modules.
#[derive(Debug, Default)]
pub(super) struct Class<'a> {
    /// Names of trained tensors and of buffers.
    pub(super) tensors: Vec<&'a str>,
    /// Names and types of everything declared.
    pub(super) fields: Vec<(&'a str, &'a str)>,
    /// What `forward` calls its input.
    pub(super) argument: &'a str,
    /// What `forward` does.
    pub(super) statements: Vec<Statement<'a>>,
}

#[derive(Debug)]
pub(super) enum Statement<'a> {
    Assign(&'a str, Expr<'a>),
    Return(Expr<'a>),
    /// What follows a condition, on one line.
    If(Expr<'a>, Box<Statement<'a>>),
}

#[derive(Debug)]
pub(super) enum Expr<'a> {
    Name(&'a str),
    Number(f64),
    Text(&'a str),
    List(Vec<Expr<'a>>),
    Member(Box<Expr<'a>>, &'a str),
    /// Function, arguments, and those given by name.
    Call(Box<Expr<'a>>, Vec<Expr<'a>>, Vec<(&'a str, Expr<'a>)>),
}

/// The classes of a file by name.
pub(super) fn classes(code: &str) -> Parsed<HashMap<&str, Class<'_>>> {
    let mut classes = HashMap::new();
    let mut lines = code.lines().peekable();
    while let Some(line) = lines.next() {
        let name = line.strip_prefix("class ").and_then(|rest| rest.strip_suffix("(Module):"));
        let name = name.ok_or_else(|| unexpected(line))?;
        let mut class = Class::default();
        while let Some(line) = lines.next_if(|line| line.starts_with("  ")) {
            if let Some(text) = line.strip_prefix("    ") {
                let statement = match text.strip_prefix("if ") {
                    Some(condition) => {
                        let condition =
                            condition.strip_suffix(':').ok_or_else(|| unexpected(line))?;
                        let then = lines.next_if(|line| line.starts_with("      "));
                        let then = then.ok_or_else(|| unexpected(line))?;
                        Statement::If(whole(condition)?, Box::new(statement(&then[6..])?))
                    }
                    None => statement(text)?,
                };
                class.statements.push(statement);
            } else if line.trim_start().starts_with("def ") {
                class.argument = argument(line, lines.next().unwrap_or_default())?;
            } else {
                class.declare(line.trim_start())?;
            }
        }
        if classes.insert(name, class).is_some() {
            return Err(format!("class {name} is there twice"));
        }
    }
    Ok(classes)
}

fn unexpected(text: &str) -> String {
    let shown: String = text.chars().take(60).collect();
    format!("unexpected code `{shown}`")
}

/// `def forward(self: T,` and `    NAME: Tensor) -> Tensor:`.
fn argument<'a>(first: &str, second: &'a str) -> Parsed<&'a str> {
    let name = second.trim_start().strip_suffix(": Tensor) -> Tensor:");
    let known = first.starts_with("  def forward(self: ") && first.ends_with(',');
    name.filter(|_| known).ok_or_else(|| unexpected(first))
}

impl<'a> Class<'a> {
    fn declare(&mut self, line: &'a str) -> Parsed<()> {
        for list in ["__parameters__ = ", "__buffers__ = "] {
            if let Some(rest) = line.strip_prefix(list) {
                let Expr::List(names) = whole(rest)? else {
                    return Err(unexpected(line));
                };
                for name in names {
                    let Expr::Text(name) = name else { return Err(unexpected(line)) };
                    self.tensors.push(name);
                }
                return Ok(());
            }
        }
        let annotation = line.strip_prefix("__annotations__[\"");
        let field = match annotation {
            Some(rest) => rest.split_once("\"] = "),
            None => line.split_once(" : "),
        };
        let (name, kind) = field.ok_or_else(|| unexpected(line))?;
        if self.fields.iter().any(|(known, _)| *known == name) {
            return Err(format!("attribute {name} is declared twice"));
        }
        self.fields.push((name, kind));
        Ok(())
    }
}

fn statement(line: &str) -> Parsed<Statement<'_>> {
    if let Some(value) = line.strip_prefix("return ") {
        return Ok(Statement::Return(whole(value)?));
    }
    let (name, value) = line.split_once(" = ").ok_or_else(|| unexpected(line))?;
    Ok(Statement::Assign(name, whole(value)?))
}

/// An expression and nothing after it.
fn whole(text: &str) -> Parsed<Expr<'_>> {
    let mut cursor = Cursor { rest: text, depth: 0 };
    let found = cursor.expression()?;
    if cursor.rest.is_empty() { Ok(found) } else { Err(unexpected(cursor.rest)) }
}

/// What is left of a line.
struct Cursor<'a> {
    rest: &'a str,
    depth: usize,
}

impl<'a> Cursor<'a> {
    fn expression(&mut self) -> Parsed<Expr<'a>> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("brackets are too deep".to_owned());
        }
        let mut found = self.primary()?;
        for _ in 0..MAX_DEPTH {
            if self.eat(".") {
                found = Expr::Member(Box::new(found), self.word()?);
            } else if self.eat("(") {
                let (mut arguments, mut named) = (Vec::new(), Vec::new());
                while !self.eat(")") {
                    match self.expression()? {
                        Expr::Name(name) if self.eat("=") => named.push((name, self.expression()?)),
                        argument => arguments.push(argument),
                    }
                    self.separator(")")?;
                }
                found = Expr::Call(Box::new(found), arguments, named);
            } else {
                self.depth -= 1;
                return Ok(found);
            }
        }
        Err("calls are too deep".to_owned())
    }

    fn primary(&mut self) -> Parsed<Expr<'a>> {
        if self.eat("(") {
            let inner = self.expression()?;
            return if self.eat(")") { Ok(inner) } else { Err(unexpected(self.rest)) };
        }
        if self.eat("[") {
            let mut items = Vec::new();
            while !self.eat("]") {
                items.push(self.expression()?);
                self.separator("]")?;
            }
            return Ok(Expr::List(items));
        }
        if self.eat("\"") {
            let (text, rest) = self.rest.split_once('"').ok_or_else(|| unexpected(self.rest))?;
            self.rest = rest;
            return Ok(Expr::Text(text));
        }
        if self.rest.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
            let number = |c: char| !(c.is_ascii_digit() || matches!(c, '.' | 'e' | '-' | '+'));
            let len = self.rest.find(number).unwrap_or(self.rest.len());
            let (number, rest) = self.rest.split_at(len);
            let value = number.parse().map_err(|_| unexpected(number))?;
            self.rest = rest;
            return Ok(Expr::Number(value));
        }
        Ok(Expr::Name(self.word()?))
    }

    /// A comma, or the closing bracket ahead.
    fn separator(&mut self, close: &str) -> Parsed<()> {
        if self.eat(",") || self.rest.starts_with(close) {
            self.rest = self.rest.trim_start();
            Ok(())
        } else {
            Err(unexpected(self.rest))
        }
    }

    fn word(&mut self) -> Parsed<&'a str> {
        let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let len = self.rest.find(|c| !part(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(len);
        self.rest = rest;
        if word.is_empty() { Err(unexpected(rest)) } else { Ok(word) }
    }

    fn eat(&mut self, token: &str) -> bool {
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }
}
