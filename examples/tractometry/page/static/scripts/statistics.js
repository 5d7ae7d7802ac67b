"use strict";
/* Means of groups, their bands, and the difference of two means. */
tractPage.statistics = (() => {
  const quantiles = tractPage.received.study.t;

  const BANDS = {
    interval: { label: "95 % interval", half: (sd, n) => (studentQuantile(n - 1) * sd) / Math.sqrt(n) },
    error: { label: "standard error", half: (sd, n) => sd / Math.sqrt(n) },
    deviation: { label: "standard deviation", half: (sd) => sd },
  };

  /* The 0.975 quantile of Student's t; between whole degrees of freedom it runs along 1/df. */
  function studentQuantile(df) {
    if (!(df >= 1)) return NaN;
    const low = Math.min(Math.floor(df), quantiles.length);
    if (low === quantiles.length || low === df) return quantiles[low - 1];
    const share = (1 / low - 1 / df) / (1 / low - 1 / (low + 1));
    return quantiles[low - 1] + share * (quantiles[low] - quantiles[low - 1]);
  }

  /* n, mean and standard deviation of what is measured. */
  function moments(values) {
    const measured = values.filter((value) => !Number.isNaN(value));
    const n = measured.length;
    const mean = n ? measured.reduce((sum, value) => sum + value, 0) / n : NaN;
    const squares = measured.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    return { n, mean, sd: n > 1 ? Math.sqrt(squares / (n - 1)) : NaN };
  }

  /* A group's profile: n, mean, low and high at each node. */
  function profileOf(metric, tract, people, band) {
    const rows = people.map((person) => metric.profile(person, tract));
    const profile = { n: [], mean: [], low: [], high: [] };
    for (let node = 0; node < tractPage.received.study.nodes; node += 1) {
      const { n, mean, sd } = moments(rows.map((row) => row[node]));
      const half = BANDS[band].half(sd, n);
      profile.n.push(n);
      profile.mean.push(mean);
      profile.low.push(mean - half);
      profile.high.push(mean + half);
    }
    return profile;
  }

  /* A group's mean at each node, quicker than with its band. */
  function meanProfile(metric, tract, people) {
    const nodes = tractPage.received.study.nodes;
    const sums = new Float64Array(nodes);
    const counts = new Float64Array(nodes);
    for (const person of people) {
      const row = metric.profile(person, tract);
      for (let node = 0; node < nodes; node += 1) {
        if (!Number.isNaN(row[node])) {
          sums[node] += row[node];
          counts[node] += 1;
        }
      }
    }
    return Array.from(sums, (sum, node) => (counts[node] ? sum / counts[node] : NaN));
  }

  /* Welch's difference of two means, first minus second, with the half width of its 95 % interval. */
  function difference(first, second) {
    const [a, b] = [first, second].map(({ n, sd }) => sd ** 2 / n);
    const df = (a + b) ** 2 / (a ** 2 / (first.n - 1) + b ** 2 / (second.n - 1));
    return { mean: first.mean - second.mean, half: studentQuantile(df) * Math.sqrt(a + b) };
  }

  /* The value below which this share of the measured values lies. */
  function quantile(values, share) {
    const sorted = values.filter((value) => !Number.isNaN(value)).sort((a, b) => a - b);
    if (!sorted.length) return NaN;
    const place = share * (sorted.length - 1);
    const low = Math.floor(place);
    return sorted[low] + (place - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
  }

  return { BANDS, moments, profileOf, meanProfile, difference, quantile };
})();
