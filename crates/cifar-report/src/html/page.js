"use strict";
(() => {
  const dialog = document.getElementById("pictures");
  const within = (event, selector) =>
    event.target instanceof Element ? event.target.closest(selector) : null;

  const open = (id) => {
    const template = document.getElementById(id);
    dialog.querySelector("h2").textContent = template.dataset.title;
    dialog.querySelector(".dialog-body").replaceChildren(template.content.cloneNode(true));
    dialog.showModal();
  };

  const copy = async (button) => {
    const text = button.parentElement.querySelector("pre").textContent;
    const say = (word) => {
      button.textContent = word;
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    };
    try {
      await navigator.clipboard.writeText(text);
      say("Copied");
    } catch {
      // Where the clipboard is out of bounds, a selection lets the reader copy.
      getSelection().selectAllChildren(button.parentElement.querySelector("pre"));
      say("Selected");
    }
  };

  document.addEventListener("click", (event) => {
    const opener = within(event, "[data-opens]");
    const copier = within(event, "[data-copies]");
    if (opener) {
      open(opener.dataset.opens);
    } else if (copier) {
      copy(copier);
    } else if (event.target === dialog || within(event, "[data-closes]")) {
      dialog.close();
    }
  });

  // One cell of the matrix is in the tab order; arrow keys move on from it.
  for (const matrix of document.querySelectorAll(".matrix")) {
    const rows = [...matrix.tBodies[0].rows].map((row) =>
      [...row.querySelectorAll("td")].map((cell) => cell.querySelector("button")));
    const buttons = rows.flat().filter(Boolean);
    buttons.forEach((button, index) => { button.tabIndex = index === 0 ? 0 : -1; });
    matrix.addEventListener("focusin", (event) => {
      for (const button of buttons) button.tabIndex = button === event.target ? 0 : -1;
    });
    matrix.addEventListener("keydown", (event) => {
      const [down, right] = {
        ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1],
      }[event.key] ?? [0, 0];
      if (!down && !right) return;
      event.preventDefault();
      let y = rows.findIndex((row) => row.includes(event.target));
      let x = rows[y]?.indexOf(event.target);
      // Over cells that hold nothing.
      do {
        y += down;
        x += right;
      } while (rows[y]?.[x] === null);
      rows[y]?.[x]?.focus();
    });
  }

  // Curves are read under the pointer, or by arrow keys.
  const number = (value) => Number(value).toLocaleString("en", { maximumSignificantDigits: 5 });

  const curvesOf = (svg) => [...svg.querySelectorAll("polyline[data-values]")].map((line) => ({
    name: line.dataset.name,
    colour: line.getAttribute("stroke"),
    axes: line.dataset.axes.split("|"),
    places: [...line.points].map((point) => point.x),
    values: line.dataset.values.split(" ").map((pair) => pair.split(":")),
  }));

  const nearest = (places, x) => {
    let best = 0;
    for (let i = 1; i < places.length; i += 1) {
      if (Math.abs(places[i] - x) < Math.abs(places[best] - x)) best = i;
    }
    return best;
  };

  class Reader {
    constructor(plot) {
      this.plot = plot;
      this.output = plot.parentElement.querySelector("output");
      this.curves = new Map();
      this.index = -1;
      plot.addEventListener("pointermove", (event) => this.point(event));
      plot.addEventListener("pointerdown", (event) => this.point(event));
      plot.addEventListener("pointerleave", () => this.clear());
      plot.addEventListener("blur", () => this.clear());
      plot.addEventListener("keydown", (event) => this.key(event));
      this.clear();
    }

    svg() {
      return [...this.plot.querySelectorAll("svg")].find((svg) => svg.getBoundingClientRect().width > 0);
    }

    // The curves of the drawing on show, and the longest of them, which sets the pace.
    shown(svg) {
      if (!this.curves.has(svg)) this.curves.set(svg, curvesOf(svg));
      const curves = this.curves.get(svg);
      const longest = curves.reduce((a, b) => (b.places.length > a.places.length ? b : a), curves[0]);
      return { curves, longest };
    }

    point(event) {
      const svg = this.svg();
      const { longest } = this.shown(svg);
      if (!longest) return;
      const box = svg.getBoundingClientRect();
      const { x, width } = svg.viewBox.baseVal;
      this.show(nearest(longest.places, x + (event.clientX - box.left) / box.width * width));
    }

    key(event) {
      const svg = this.svg();
      const { longest } = this.shown(svg);
      if (!longest) return;
      const last = longest.places.length - 1;
      const stride = event.shiftKey ? 10 : 1;
      const index = {
        ArrowRight: this.index + stride, ArrowLeft: this.index - stride, Home: 0, End: last,
      }[event.key];
      if (index === undefined) return;
      event.preventDefault();
      this.show(Math.min(Math.max(index, 0), last));
    }

    show(index) {
      this.index = index;
      const svg = this.svg();
      const { curves, longest } = this.shown(svg);
      const x = longest.places[index];
      const parts = [`${longest.axes[0]}: `, this.strong(number(longest.values[index][0]))];
      let axis = null;
      for (const curve of curves) {
        const at = nearest(curve.places, x);
        // A curve that is not there at this place has nothing to tell.
        if (Math.abs(curve.places[at] - x) > 8) continue;
        if (curve.axes[1] !== axis) {
          axis = curve.axes[1];
          parts.push(document.createElement("br"), axis);
        }
        const swatch = document.createElement("i");
        swatch.style.background = curve.colour;
        parts.push(swatch, `${curve.name} `, this.strong(number(curve.values[at][1])));
      }
      this.output.replaceChildren(...parts);
      this.mark(svg, x);
    }

    strong(text) {
      const element = document.createElement("b");
      element.textContent = text;
      return element;
    }

    mark(svg, x) {
      this.unmark();
      const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
      const { y, height } = svg.viewBox.baseVal;
      for (const [name, value] of Object.entries({ x1: x, x2: x, y1: y, y2: y + height, class: "cursor" })) {
        line.setAttribute(name, value);
      }
      svg.append(line);
    }

    unmark() {
      for (const line of this.plot.querySelectorAll(".cursor")) line.remove();
    }

    clear() {
      if (this.plot === document.activeElement && this.index >= 0) return;
      this.unmark();
      this.index = -1;
      this.output.replaceChildren();
    }
  }

  for (const plot of document.querySelectorAll(".plot")) new Reader(plot);
})();
