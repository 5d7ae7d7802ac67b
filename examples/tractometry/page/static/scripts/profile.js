"use strict";
/* The profile of the chosen tract: group means with bands, single people, and the range of nodes. */
tractPage.views.profile = (() => {
  const { study } = tractPage.profiles;
  const { escape, digits } = tractPage.figures;
  const element = document.getElementById("profile");
  const nodes = Array.from({ length: study.nodes }, (_, node) => node);
  // On a phone a finger over the figure scrolls the page; the range has fields of its own.
  const touch = matchMedia("(pointer: coarse)");
  const MOST_NAMED = 6;
  const FAINT = 0.28;
  let isListening = false;

  async function draw(scene) {
    const data = [
      ...(scene.state.lines ? scene.shown.map((group) => faintLines(scene, group)) : []),
      ...scene.shown.flatMap((group) => groupTraces(scene, group)),
      ...scene.chosen.map((person, place) => chosenLine(scene, person, place)),
    ];
    await tractPage.figures.draw(element, data, layout(scene));
    element.setAttribute(
      "aria-label",
      `${scene.metric.title} along ${scene.state.tract}, by group; numbers: Profile as CSV`,
    );
    if (!isListening) listen();
  }

  /* A group's band and mean. */
  function groupTraces(scene, group) {
    const profile = tractPage.statistics.profileOf(scene.metric, scene.tract, group.people, scene.state.band);
    const known = nodes.filter((node) => Number.isFinite(profile.low[node]));
    const back = [...known].reverse();
    const most = Math.max(0, ...profile.n);
    const band = {
      x: [...known, ...back],
      y: [...known.map((node) => profile.high[node]), ...back.map((node) => profile.low[node])],
      fill: "toself",
      fillcolor: tractPage.colours.faint(group.colour, 0.2),
      line: { width: 0 },
      type: "scatter",
      mode: "lines",
      hoverinfo: "skip",
      showlegend: false,
    };
    const mean = {
      x: nodes,
      y: profile.mean,
      customdata: nodes.map((node) => [
        profile.n[node],
        digits(profile.low[node]),
        digits(profile.high[node]),
      ]),
      type: "scatter",
      mode: "lines+markers",
      name: `${escape(group.label)} (n = ${most})`,
      line: { color: group.colour, dash: group.dash, width: 2.5 },
      marker: { symbol: group.marker, size: 8, color: group.colour, maxdisplayed: 12 },
      selected: { marker: { opacity: 1 } },
      unselected: { marker: { opacity: 1 } },
      hovertemplate:
        `<b>${escape(group.label)}</b>, node %{x}<br>mean %{y:.4~g} (n = %{customdata[0]})<br>` +
        "%{customdata[1]} to %{customdata[2]}<extra></extra>",
    };
    return known.length ? [band, mean] : [mean];
  }

  /* All people of a group as one trace, with gaps between them. */
  function faintLines(scene, group) {
    const trace = { x: [], y: [], customdata: [], hovertext: [] };
    for (const person of group.people) {
      const row = scene.metric.profile(person, scene.tract);
      for (const node of nodes) {
        trace.x.push(node);
        trace.y.push(row[node]);
        trace.customdata.push(person);
        trace.hovertext.push(`${escape(study.people[person])}, node ${node}: ${digits(row[node])}`);
      }
      trace.x.push(null);
      trace.y.push(null);
      trace.customdata.push(null);
      trace.hovertext.push("");
    }
    return {
      ...trace,
      type: "scatter",
      mode: "lines",
      hoverinfo: "text",
      showlegend: false,
      line: { color: tractPage.colours.faint(group.colour, FAINT), width: 1 },
    };
  }

  function chosenLine(scene, person, place) {
    const row = scene.metric.profile(person, scene.tract);
    const group = scene.groupOf[person];
    const name = escape(study.people[person]);
    return {
      x: nodes,
      y: Array.from(row),
      customdata: nodes.map(() => person),
      type: "scatter",
      mode: "lines",
      name,
      showlegend: place < MOST_NAMED,
      hovertemplate: `<b>${name}</b>, ${escape(group.label)}<br>node %{x}: %{y:.4~g}<extra></extra>`,
      line: { color: tractPage.colours.ofPage("ink"), width: 2, dash: ["solid", "dot", "dash"][place % 3] },
    };
  }

  function layout(scene) {
    const { state, metric } = scene;
    return tractPage.figures.layout({
      xaxis: tractPage.figures.axis(`Node along the tract (0–${study.nodes - 1})`, {
        range: [-0.5, study.nodes - 0.5],
        fixedrange: true,
      }),
      yaxis: tractPage.figures.axis(metric.title, { fixedrange: true, automargin: true }),
      legend: {
        orientation: "h",
        x: 0,
        y: 1.01,
        yanchor: "bottom",
        itemclick: false,
        itemdoubleclick: false,
      },
      margin: { l: 62, r: 14, t: 36, b: 48 },
      hovermode: "closest",
      dragmode: touch.matches ? false : "select",
      selectdirection: "h",
      selections: [],
      shapes: tractPage.scene.isWholeRange(state) ? [] : shade(state),
    });
  }

  /* Grey over what lies outside of the range, and a line at each end. */
  function shade({ from, to }) {
    const [veil, ink] = ["veil", "ink"].map(tractPage.colours.ofPage);
    const outside = [
      [-0.5, from - 0.5],
      [to + 0.5, study.nodes - 0.5],
    ];
    const sides = outside.map(([x0, x1]) => ({
      type: "rect",
      xref: "x",
      yref: "paper",
      x0,
      x1,
      y0: 0,
      y1: 1,
      fillcolor: veil,
      line: { width: 0 },
      layer: "above",
    }));
    const ends = [from - 0.5, to + 0.5].map((x) => ({
      type: "line",
      xref: "x",
      yref: "paper",
      x0: x,
      x1: x,
      y0: 0,
      y1: 1,
      line: { color: ink, width: 1, dash: "dot" },
    }));
    return [...sides, ...ends];
  }

  function listen() {
    isListening = true;
    element.on("plotly_selected", (event) => {
      if (!event?.range) return;
      const [low, high] = event.range.x.map((x) => Math.min(Math.max(x, 0), study.nodes - 1));
      tractPage.state.set({
        from: Math.ceil(Math.min(low, high)),
        to: Math.max(Math.ceil(Math.min(low, high)), Math.floor(Math.max(low, high))),
      });
      tractPage.redraw("profile"); // the selection's own outline goes
    });
    tractPage.figures.whenPressed(element, ({ customdata }) => {
      if (Number.isInteger(customdata)) tractPage.people.toggle(study.people[customdata]);
    });
    for (const twice of ["plotly_doubleclick", "plotly_deselect"])
      element.on(twice, () => tractPage.state.set({ from: 0, to: study.nodes - 1 }));
  }

  return {
    keys: ["tract", "metric", "from", "to", "by", "parts", "hidden", "band", "lines", "people"],
    draw,
    needsLibrary: true,
  };
})();
