"use strict";
/* All tracts at once, a row each, node by node: where to look. */
tractPage.views.overview = (() => {
  const { study } = tractPage.profiles;
  const { escape, digits } = tractPage.figures;
  const element = document.getElementById("overview");
  const [MOST_IN_PLACE, ROW_PIXELS] = [20, 17];
  const rows = study.tracts.map(escape);
  let isListening = false;
  // Names of more tracts than the style sheet has room for would lie over each other.
  if (rows.length > MOST_IN_PLACE) element.style.height = `${ROW_PIXELS * rows.length + 90}px`;

  async function draw(scene) {
    const { state } = scene;
    element.hidden = state.view !== "overview";
    if (element.hidden) return;
    const values = tractPage.scene.valuesByTract(scene);
    const scale = tractPage.scene.scale(scene, values);
    const data = [
      {
        type: "heatmap",
        z: values.map((row) => row.map((value) => (Number.isNaN(value) ? null : value))),
        y: rows,
        colorscale: scale.colorscale,
        zmin: scale.low,
        zmax: scale.high,
        text: values.map((row) => row.map(digits)),
        hovertemplate: "<b>%{y}</b>, node %{x}<br>%{text}<extra></extra>",
        hoverongaps: false,
        ygap: 2,
        colorbar: {
          orientation: "h",
          thickness: 10,
          len: 1,
          x: 0.5,
          y: 1.01,
          yanchor: "bottom",
          outlinewidth: 0,
          ticks: "outside",
          tickfont: { size: 11 },
          nticks: 5,
        },
      },
    ];
    await tractPage.figures.draw(element, data, layout(scene));
    if (!isListening) listen();
  }

  function isNarrow() {
    return element.clientWidth < 480;
  }

  function widthOfNames(size) {
    const pen = document.createElement("canvas").getContext("2d");
    pen.font = `${size}px system-ui, sans-serif`;
    return Math.ceil(Math.max(...study.tracts.map((tract) => pen.measureText(tract).width))) + 10;
  }

  function layout({ state, tract }) {
    const ink = tractPage.colours.ofPage("ink");
    const size = isNarrow() ? 10 : 12;
    return tractPage.figures.layout({
      // Plotly's own margins leave a phone no room for the figure.
      margin: { l: widthOfNames(size), r: 14, t: 42, b: 48, autoexpand: false },
      xaxis: tractPage.figures.axis(`Node${isNarrow() ? "" : " along the tract"} (0–${study.nodes - 1})`, {
        range: [-0.5, study.nodes - 0.5],
        fixedrange: true,
        showgrid: false,
        nticks: 6,
      }),
      yaxis: {
        autorange: "reversed",
        fixedrange: true,
        tickfont: { size },
        dtick: 1,
        ticks: "",
        ticksuffix: " ",
        gridcolor: "rgba(0,0,0,0)",
      },
      dragmode: false,
      shapes: [
        {
          type: "rect",
          x0: state.from - 0.5,
          x1: state.to + 0.5,
          y0: tract - 0.5,
          y1: tract + 0.5,
          line: { color: ink, width: 2.5 },
        },
      ],
    });
  }

  function listen() {
    isListening = true;
    tractPage.figures.whenPressed(element, ({ pointIndex }) =>
      tractPage.state.set({ tract: study.tracts[pointIndex[0]] }),
    );
  }

  return {
    keys: ["view", "tract", "metric", "from", "to", "by", "parts", "colour", "group", "minus"],
    draw,
    needsLibrary: true,
  };
})();
