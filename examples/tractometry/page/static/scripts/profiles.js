"use strict";
/* The profiles: who, which tracts, which metrics, and the numbers of a metric when they are wanted. */
tractPage.profiles = (() => {
  const study = tractPage.received.study;
  const metrics = new Map();

  /* Return the numbers of one metric, loaded the first time. */
  async function load(name) {
    const number = study.metrics.findIndex((metric) => metric.name === name);
    if (!metrics.has(name)) {
      await tractPage.load(`data/metric_${number}.js`);
      const packed = tractPage.received[`metric_${number}`];
      metrics.set(name, new Metric(study.metrics[number], packed));
    }
    return metrics.get(name);
  }

  class Metric {
    constructor(about, packed) {
      Object.assign(this, about);
      this.values = tractPage.unpack(packed.values, Float32Array);
      this.scores = tractPage.unpack(packed.z, Float32Array);
      this.missing = study.people.map((_, person) =>
        study.tracts.map((__, tract) => this.profile(person, tract).every(Number.isNaN)),
      );
    }

    /* What an axis says. */
    get title() {
      return this.unit ? `${this.label} (${this.unit})` : this.label;
    }

    /* One person's values along one tract; NaN where a node was not measured. */
    profile(person, tract) {
      const start = (person * study.tracts.length + tract) * study.nodes;
      return this.values.subarray(start, start + study.nodes);
    }

    /* The mean over the measured nodes of a range, both ends in it; NaN where there is none. */
    mean(person, tract, from, to) {
      const measured = this.profile(person, tract)
        .slice(from, to + 1)
        .filter((value) => !Number.isNaN(value));
      return measured.length ? measured.reduce((sum, value) => sum + value, 0) / measured.length : NaN;
    }

    score(person, tract) {
      return this.scores[person * study.tracts.length + tract];
    }

    isOutlier(person, tract) {
      return Math.abs(this.score(person, tract)) > study.outlier.limit;
    }
  }

  return { study, load };
})();
