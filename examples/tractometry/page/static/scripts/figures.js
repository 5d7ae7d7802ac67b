"use strict";
/* What all figures share: fonts, colours of the page, and words that no label may take as markup. */
tractPage.figures = (() => {
  const SHOWN = { displayModeBar: false, responsive: true, doubleClick: false, showTips: false };

  const STILL = 4; // pixels

  function layout(more) {
    const ink = tractPage.colours.ofPage("ink");
    const ground = tractPage.colours.ofPage("surface");
    return {
      font: { family: "system-ui, sans-serif", size: 13, color: ink },
      paper_bgcolor: ground,
      plot_bgcolor: ground,
      margin: { l: 62, r: 14, t: 10, b: 48 },
      hoverlabel: { bgcolor: ground, bordercolor: ink, font: { color: ink }, align: "left" },
      ...more,
    };
  }

  function axis(title, more) {
    const line = tractPage.colours.ofPage("line");
    return {
      title: { text: escape(title), standoff: 8 },
      gridcolor: line,
      zeroline: false,
      linecolor: line,
      ...more,
    };
  }

  /* Words from a table, so that plotly does not read them as markup. */
  function escape(words) {
    return String(words).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  }

  /* A number with the digits that its size asks for. */
  function digits(value) {
    if (!Number.isFinite(value)) return "–";
    const size = Math.abs(value);
    const isPlain = size === 0 || (size >= 0.001 && size < 1e5);
    return (isPlain ? value.toFixed(size < 100 ? 3 : 1) : value.toExponential(2)).replaceAll("-", "−");
  }

  /* Draw a figure, or draw it anew. */
  async function draw(element, data, layoutOfIt, config = {}) {
    await Plotly.react(element, data, layoutOfIt, { ...SHOWN, ...config });
    // The window may have changed while it was not seen.
    if (element._fullLayout.width !== element.clientWidth) await Plotly.Plots.resize(element);
  }

  /* Call with the point that is pressed and let go. Plotly's own click is lost where a press lasts longer than
     one picture, as those of people do. */
  function whenPressed(element, listener) {
    let pointed = null;
    element.on("plotly_hover", ({ points }) => {
      [pointed] = points;
    });
    element.on("plotly_unhover", () => {
      pointed = null;
    });
    element.addEventListener(
      "mousedown",
      (down) => {
        const point = pointed;
        const release = (up) => {
          if (Math.hypot(up.clientX - down.clientX, up.clientY - down.clientY) < STILL) listener(point);
        };
        if (point) document.addEventListener("mouseup", release, { capture: true, once: true });
      },
      true,
    );
  }

  return { layout, axis, escape, digits, draw, whenPressed };
})();
