// What the checks ask of a page; evaluated in it.
const probe = {
  // How far the page is wider than the window.
  overflow() {
    return document.documentElement.scrollWidth - innerWidth;
  },

  // Pictures that are broken, or places on a sheet that do not exist; and how many were looked at.
  async pictures() {
    const broken = [...document.images].filter((image) => !(image.naturalWidth > 0)).map((image) => image.src);
    const views = [...document.querySelectorAll(".view")];
    for (const template of document.querySelectorAll("template")) {
      const clone = document.createElement("div");
      clone.append(template.content.cloneNode(true));
      document.querySelector("main").append(clone);
      views.push(...clone.querySelectorAll(".view"));
    }
    const sheets = new Map();
    for (const view of views) {
      const style = getComputedStyle(view);
      const url = style.backgroundImage.match(/^url\("(data:image\/png;base64,.*)"\)$/)?.[1];
      if (!url) {
        broken.push(`no sheet for ${view.ariaLabel}`);
        continue;
      }
      if (!sheets.has(url)) {
        const image = new Image();
        image.src = url;
        await image.decode().catch((error) => broken.push(String(error)));
        sheets.set(url, image);
      }
      const sheet = sheets.get(url);
      const [x, y] = ["--x", "--y"].map((name) => Number(view.style.getPropertyValue(name)));
      const columns = Number(style.getPropertyValue("--columns"));
      const side = sheet.naturalWidth / columns;
      const rows = sheet.naturalHeight / side;
      if (!(x < columns && y < rows) || !Number.isInteger(side) || !Number.isInteger(rows)) {
        broken.push(`${view.ariaLabel} lies at ${x}, ${y} of ${columns} x ${rows}`);
      }
      if (!view.ariaLabel) broken.push("a picture without a description");
    }
    for (const clone of document.querySelectorAll("main > div")) clone.remove();
    return { broken, views: views.length, sheets: sheets.size };
  },

  // Drawings that are not shown, have no description, or whose text is too small to read.
  drawings() {
    const bad = [];
    const shown = [...document.querySelectorAll("figure.chart")].map((figure) => {
      const svgs = [...figure.querySelectorAll("svg")].filter((svg) => svg.getBoundingClientRect().width > 0);
      if (svgs.length !== 1) bad.push(`${figure.textContent.trim()}: ${svgs.length} drawings shown`);
      return svgs[0];
    });
    for (const svg of shown) {
      if (!svg.getAttribute("aria-label")) bad.push("a drawing without a description");
      const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
      const smallest = Math.min(...[...svg.querySelectorAll("text")].map((text) => Number(text.getAttribute("font-size"))));
      if (smallest * scale < 10) bad.push(`text of ${smallest * scale} px in ${svg.ariaLabel}`);
    }
    return { bad, drawings: shown.length };
  },

  // The middle of an element after scrolling to it.
  middle(selector) {
    const element = document.querySelector(selector);
    element.scrollIntoView({ block: "center", behavior: "instant" });
    const box = element.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
  },

  dialog() {
    const dialog = document.querySelector("dialog");
    const views = [...dialog.querySelectorAll(".view")].filter((view) => view.getBoundingClientRect().width > 0);
    return { open: dialog.open, title: dialog.querySelector("h2").textContent, views: views.length };
  },

  focus() {
    const element = document.activeElement;
    const style = getComputedStyle(element);
    return {
      opens: element.dataset.opens ?? null,
      tag: element.tagName,
      outline: element.matches(":focus-visible") && style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0,
    };
  },

  // Controls that have neither text nor a label.
  unnamed() {
    return [...document.querySelectorAll("button, a, summary")]
      .filter((control) => !control.textContent.trim() && !control.ariaLabel)
      .map((control) => control.outerHTML);
  },
};
