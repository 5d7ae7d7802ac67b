"use strict";
/* What is shown, as files: the profile's means and bands, the people's rows, and the figures. */
tractPage.downloads = (() => {
  const { study } = tractPage.profiles;
  const SIZES = { profile: [1000, 600], bundles: [1000, 800], overview: [1000, 800] };

  function offer(content, name) {
    const link = document.createElement("a");
    link.href = typeof content === "string" ? content : URL.createObjectURL(content);
    link.download = name;
    link.click();
    if (typeof content !== "string") setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }

  /* A table as CSV, after RFC 4180; cells without a value are empty. */
  function csv(rows) {
    const cell = (value) => {
      if (value === null || value === undefined || Number.isNaN(value)) return "";
      return /[",\n\r]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value);
    };
    return new Blob([rows.map((row) => `${row.map(cell).join(",")}\n`).join("")], { type: "text/csv" });
  }

  function nameOf(parts, end) {
    return `${parts
      .join("_")
      .replace(/[^\p{L}\p{N}]+/gu, "-")
      .replace(/^-|-$/g, "")}.${end}`;
  }

  function profileRows(scene) {
    const { state, metric, shown, tract } = scene;
    const rows = [["tractID", "metric", "grouped_by", "group", "nodeID", "n", "mean", "low", "high", "band"]];
    for (const { label, people } of shown) {
      const profile = tractPage.statistics.profileOf(metric, tract, people, state.band);
      for (let node = 0; node < study.nodes; node += 1) {
        if (node >= state.from && node <= state.to) {
          rows.push([
            state.tract,
            metric.name,
            state.by,
            label,
            node,
            profile.n[node],
            profile.mean[node],
            profile.low[node],
            profile.high[node],
            state.band,
          ]);
        }
      }
    }
    return rows;
  }

  function peopleRows(scene) {
    const { state, metric, tract } = scene;
    const header = [
      "subjectID",
      ...study.columns.map(({ name }) => name),
      "shown_group",
      "tractID",
      "metric",
      "first_node",
      "last_node",
      "mean",
      "is_missing",
      "is_outlier",
      "robust_z",
    ];
    return [
      header,
      ...tractPage.people
        .rows(scene)
        .map((person) => [
          study.people[person],
          ...study.columns.map(({ values }) => values[person]),
          scene.groupOf[person].label,
          state.tract,
          metric.name,
          state.from,
          state.to,
          metric.mean(person, tract, state.from, state.to),
          Number(metric.missing[person][tract]),
          Number(metric.isOutlier(person, tract)),
          metric.score(person, tract),
        ]),
    ];
  }

  /* A picture leaves the page, so it must say what it shows. */
  function titleOf(id, scene) {
    const { state, metric } = scene;
    if (id === "profile") return `${state.tract}: ${metric.title}${state.by ? ` by ${state.by}` : ""}`;
    const shown = tractPage.scene.scaleTitle(scene);
    return id === "overview" || !shown ? shown || study.name : `${state.tract}: ${shown}`;
  }

  async function picture(id, format, scene) {
    const element = document.getElementById(id);
    const [width, height] = SIZES[id];
    const title = titleOf(id, scene);
    const layout = {
      ...element.layout,
      width,
      height,
      autosize: false,
      title: { text: tractPage.figures.escape(title), x: 0.02, xanchor: "left", y: 0.98, yanchor: "top" },
      margin: { ...element.layout.margin, t: element.layout.margin.t + 40 },
    };
    return Plotly.toImage(
      { data: element.data, layout },
      { format, width, height, scale: format === "png" ? 2 : 1 },
    );
  }

  async function make(what, format) {
    const scene = await tractPage.currentScene();
    const { tract, metric, view } = scene.state;
    if (what === "people") offer(csv(peopleRows(scene)), nameOf(["people", tract, metric], format));
    else if (format === "csv") offer(csv(profileRows(scene)), nameOf(["profile", tract, metric], format));
    else {
      const id = what === "anatomy" ? view : what;
      offer(await picture(id, format, scene), nameOf([id, tract, metric], format));
    }
    tractPage.say(`Downloaded: ${what}, ${format.toUpperCase()}`);
  }

  document.body.addEventListener("click", ({ target }) => {
    const { download, format } = target.dataset ?? {};
    if (download) make(download, format).catch(tractPage.fail);
  });

  return { csv, profileRows, peopleRows };
})();
