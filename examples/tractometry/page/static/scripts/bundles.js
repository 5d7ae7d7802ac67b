"use strict";
/* The bundles in 3D. Each node of a profile is a point of the bundle's core. */
tractPage.views.bundles = (() => {
  const { study } = tractPage.profiles;
  const { escape } = tractPage.figures;
  const packed = tractPage.received.bundles;
  const element = document.getElementById("bundles");
  const note = document.getElementById("bundles-note");
  const shaped = study.tracts.filter((tract) => tract in packed.tracts);
  const shapes = Object.fromEntries(shaped.map((tract) => [tract, unpack(packed.tracts[tract])]));
  const SIGHT = 1.15; // of the diagonal, with room for the axes' words
  const FAR = farEnough();
  const EYES = Object.fromEntries(
    Object.entries({
      left: [-1, 0, 0.1],
      right: [1, 0, 0.1],
      front: [0, 1, 0.1],
      back: [0, -1, 0.1],
      top: [0, -0.01, 1],
    }).map(([side, way]) => [side, way.map((part) => round(part * FAR))]),
  );
  const START = [-0.66, 0.62, 0.42].map((part) => round(part * FAR));
  const TURN = Math.PI / 12;
  // Of lines, in pixels.
  const [THIN, NARROW, WIDE, WIDEST] = [1.5, 5, 11, 15];
  // How dense they are, where 1 hides what is behind: other tracts, the chosen one beside the range, streamlines.
  const [OTHERS, BESIDE, DENSE, FAINT] = [0.5, 0.55, 0.7, 0.15];
  let isListening = false;

  function unpack({ core, lines, of }) {
    const toPoints = (text) => {
      const numbers = tractPage.unpack(text, Int16Array);
      return Array.from({ length: numbers.length / 3 }, (_, point) =>
        Array.from(numbers.subarray(3 * point, 3 * point + 3), (hundredths) => hundredths * packed.unit),
      );
    };
    return { core: toPoints(core), lines: toPoints(lines), of };
  }

  /* How far the eye must be to see all: plotly's scene is as long as the data, with a mean side of 1. */
  function farEnough() {
    const points = Object.values(shapes).flatMap(({ core, lines }) => [...core, ...lines]);
    if (!points.length) return 1;
    const sides = [0, 1, 2].map((axis) => {
      const places = points.map((point) => point[axis]);
      return Math.max(1, places.reduce((a, b) => Math.max(a, b)) - places.reduce((a, b) => Math.min(a, b)));
    });
    return (SIGHT * Math.hypot(...sides)) / Math.cbrt(sides[0] * sides[1] * sides[2]);
  }

  function round(part) {
    return Math.round(part * 100) / 100;
  }

  async function draw(scene) {
    const { state } = scene;
    describe(scene);
    element.hidden = shaped.length === 0;
    if (state.view !== "bundles" || element.hidden) return;
    const values = state.colour === "tract" ? null : tractPage.scene.valuesByTract(scene);
    const scale =
      values &&
      tractPage.scene.scale(
        scene,
        values.filter((_, tract) => study.tracts[tract] in shapes),
      );
    const data = shaped.flatMap((tract) =>
      tracesOf(scene, tract, values && values[study.tracts.indexOf(tract)], scale),
    );
    if (scale) data.push(bar(scale));
    await tractPage.figures.draw(element, data, layout(state, Boolean(scale)));
    if (!isListening) listen();
  }

  /* Say what has no shape, for those who would look for it. */
  function describe({ state }) {
    const lacking = study.tracts.filter((tract) => !(tract in shapes));
    const words = [];
    if (!shaped.length)
      words.push(
        "These data have no shapes of bundles (streamlines.json), so there is nothing to see in 3D. " +
          "Profiles, tracts and people are complete.",
      );
    else if (!(state.tract in shapes))
      words.push(`${state.tract} has no shape here; its profile and its people are shown.`);
    if (shaped.length && lacking.length) words.push(`Without a shape: ${lacking.join(", ")}.`);
    if (state.streamlines && state.tract in shapes) {
      const { lines, of } = shapes[state.tract];
      words.push(`${state.tract}: ${lines.length / packed.points} of ${of} streamlines shown.`);
    }
    note.textContent = words.join(" ");
    note.hidden = words.length === 0;
  }

  /* A tract's core, its streamlines where they are wanted, and the range of nodes of the chosen one. */
  function tracesOf(scene, tract, values, scale) {
    const { state } = scene;
    const { core, lines } = shapes[tract];
    const isChosen = tract === state.tract;
    const isPart = isChosen && !tractPage.scene.isWholeRange(state);
    const make = (points, nodes, width) => line(tract, points, nodes, width, values, scale);
    const [width, opacity] = isPart ? [NARROW, BESIDE] : isChosen ? [WIDE, 1] : [NARROW, OTHERS];
    const traces = [{ ...make(core, (point) => point, width), opacity }];
    if (state.streamlines && lines.length) {
      const strew = (isIn, share) => {
        const [points, nodes] = joined(lines, isIn);
        traces.push({
          ...make(points, (place) => nodes[place], THIN),
          opacity: share,
          hoverinfo: "skip",
          hovertemplate: undefined,
        });
      };
      strew((node) => !isPart || (node >= state.from && node <= state.to), isChosen ? DENSE : FAINT);
      if (isPart) strew((node) => node <= state.from || node >= state.to, FAINT);
    }
    if (isPart) {
      const part = core.slice(state.from, state.to + 1);
      traces.push({ ...make(part, (point) => point + state.from, WIDEST), name: "range" });
      traces.push(ends(part, state));
    }
    return traces;
  }

  function line(tract, points, nodeOf, width, values, scale) {
    const [x, y, z] = [0, 1, 2].map((axis) => points.map((point) => point && point[axis]));
    const nodes = points.map((_, place) => nodeOf(place));
    const painted = values
      ? {
          color: nodes.map((node) => values[node] ?? 0),
          colorscale: scale.colorscale,
          cmin: scale.low,
          cmax: scale.high,
        }
      : { color: tractPage.colours.ofTract(tract) };
    const said = values ? nodes.map((node) => tractPage.figures.digits(values[node])) : nodes.map(() => "");
    const valued = values ? `<br>${escape(scale.title)}: %{customdata[1]}` : "";
    return {
      type: "scatter3d",
      mode: "lines",
      x,
      y,
      z,
      name: escape(tract),
      meta: tract,
      line: { width, ...painted },
      showlegend: false,
      customdata: nodes.map((node, place) => [node, said[place]]),
      hovertemplate: `<b>${escape(tract)}</b><br>node %{customdata[0]}${valued}<extra></extra>`,
    };
  }

  /* The wanted parts of all streamlines as one line with gaps, and the node nearest to each point. */
  function joined(lines, isIn) {
    const points = [];
    const nodes = [];
    lines.forEach((point, place) => {
      const along = place % packed.points;
      const node = Math.round((along * (study.nodes - 1)) / (packed.points - 1));
      if ((along === 0 || !isIn(node)) && points.at(-1)) {
        points.push(null);
        nodes.push(node);
      }
      if (isIn(node)) {
        points.push(point);
        nodes.push(node);
      }
    });
    return [points, nodes];
  }

  function ends(part, { from, to }) {
    const [first, last] = [part[0], part[part.length - 1]];
    const ink = tractPage.colours.ofPage("ink");
    const [x, y, z] = [0, 1, 2].map((axis) => [first[axis], last[axis]]);
    return {
      type: "scatter3d",
      mode: "markers+text",
      x,
      y,
      z,
      text: [`node ${from}`, `node ${to}`],
      textfont: { color: ink },
      textposition: "middle right",
      marker: { color: ink, size: 5 },
      hoverinfo: "skip",
      showlegend: false,
      name: "ends",
    };
  }

  /* What the colours mean; one point that is not seen carries the bar, whichever tracts there are. */
  function bar({ colorscale, low, high }) {
    return {
      type: "scatter3d",
      mode: "markers",
      x: [null],
      y: [null],
      z: [null],
      hoverinfo: "skip",
      showlegend: false,
      name: "bar",
      marker: {
        color: [low],
        colorscale,
        cmin: low,
        cmax: high,
        showscale: true,
        size: 0.1,
        colorbar: {
          orientation: "h",
          thickness: 10,
          len: 0.9,
          x: 0.5,
          y: 0,
          yanchor: "bottom",
          outlinewidth: 0,
          ticks: "outside",
          nticks: 5,
          tickfont: { size: 11 },
        },
      },
    };
  }

  function layout(state, hasBar) {
    const plain = { showspikes: false, showbackground: false, nticks: 5, tickfont: { size: 11 } };
    const axis = (title) =>
      tractPage.figures.axis(title, { ...plain, title: { text: title, font: { size: 12 } } });
    const [x, y, z] = state.eye.length ? state.eye : START;
    const center = element.layout?.scene?.camera?.center ?? { x: 0, y: 0, z: -0.2 };
    return tractPage.figures.layout({
      margin: { l: 0, r: 0, t: 0, b: 0 },
      scene: {
        domain: { x: [0, 1], y: [hasBar ? 0.1 : 0, 1] },
        xaxis: axis("left–right (mm)"),
        yaxis: axis("back–front (mm)"),
        zaxis: axis("down–up (mm)"),
        aspectmode: "data",
        hovermode: "closest",
        camera: { eye: { x, y, z }, center },
      },
    });
  }

  /* Look from a side, or turn: what a mouse does, from the keyboard. */
  function look(side) {
    const eye = EYES[side] ?? turned(tractPage.state.current.eye, side === "turn-left" ? TURN : -TURN);
    tractPage.state.set({ eye });
  }

  function turned(eye, angle) {
    const [x, y, z] = eye.length ? eye : START;
    const [sin, cos] = [Math.sin(angle), Math.cos(angle)];
    return [x * cos - y * sin, x * sin + y * cos, z].map(round);
  }

  function listen() {
    isListening = true;
    element.on("plotly_click", ({ points }) => {
      const tract = points[0].data.meta;
      if (tract) tractPage.state.set({ tract });
    });
    element.on("plotly_relayout", (change) => {
      const eye = change["scene.camera"]?.eye;
      if (eye) tractPage.state.set({ eye: [eye.x, eye.y, eye.z].map(round) });
    });
  }

  return {
    keys: [
      "view",
      "tract",
      "metric",
      "from",
      "to",
      "by",
      "parts",
      "colour",
      "group",
      "minus",
      "streamlines",
      "eye",
    ],
    draw,
    look,
    hasShapes: shaped.length > 0,
    needsLibrary: true,
  };
})();
