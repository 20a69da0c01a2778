// BullMQ on the Redis of the environment: `node bullmq_redis.cjs VERB ARGUMENTS`. The verbs are those of bench/inside.py,
// and `worker`, which runs tasks until it is killed.
"use strict";

const { fork } = require("node:child_process");
const fs = require("node:fs");
const { Queue, QueueEvents, Worker } = require("bullmq");

const url = new URL(process.env.BENCH_URL);
const connection = { host: url.hostname, port: Number(url.port), db: Number(url.pathname.slice(1)), maxRetriesPerRequest: null };
const WARM = 20; // calls before the clock runs

const now = () => Number(process.hrtime.bigint()) / 1e9;
const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

const tasks = {
  add: async (x, y) => x + y,
  spin: async (seconds) => {
    const end = performance.now() + 1000 * seconds; // Node tells no thread's own CPU time
    while (performance.now() < end);
    return true;
  },
  nap: async (seconds) => pause(seconds),
  mark: async (number) => fs.appendFileSync("marks", `${number}\n`),
};

async function each(width, count, call) {
  let left = count;
  await Promise.all(
    Array.from({ length: width }, async () => {
      while (left-- > 0) await call();
    }),
  );
}

const many = (queue, task, all) => queue.addBulk(all.map((args) => ({ name: task, data: args })));

const verbs = {
  async versions() {
    const of = (name) => require(`${name}/package.json`).version;
    return { bullmq: of("bullmq"), ioredis: of("ioredis"), node: process.versions.node };
  },
  async asubmit(queue, { count, width }) {
    const call = () => queue.add("add", [1, 1]);
    await each(1, WARM, call);
    const start = now();
    await each(width, count, call);
    return count / (now() - start);
  },
  async bulk(queue, { count, size }) {
    const batch = Array.from({ length: size }, (_, number) => [number, 1]);
    await many(queue, "add", batch);
    const start = now();
    for (let done = 0; done < count; done += size) await many(queue, "add", batch);
    return count / (now() - start);
  },
  async fill(queue, { task, args, count }) {
    for (let left = count; left > 0; left -= 1000) {
      await many(queue, task, Array.from({ length: Math.min(left, 1000) }, () => args));
    }
  },
  async mark(queue, { count }) {
    await many(queue, "mark", Array.from({ length: count }, (_, number) => [number]));
  },
  async steady(queue, { task, args, rate }) {
    const start = now();
    for (let number = 0; ; number += 1) {
      const wait = start + number / rate - now();
      if (wait > 0) await pause(wait);
      await queue.add(task, args);
    }
  },
  async alatency(queue, { count, pause: rest }) {
    const events = new QueueEvents("bench", { connection });
    await events.waitUntilReady();
    const taken = [];
    for (let number = 0; number < WARM + count; number += 1) {
      await pause(rest);
      const start = now();
      await (await queue.add("add", [number, 1])).waitUntilFinished(events, 10_000);
      taken.push(now() - start);
    }
    await events.close();
    return taken.slice(WARM);
  },
};

async function main(verb, text) {
  const options = JSON.parse(text);
  if (verb === "worker") {
    for (let other = 1; other < options.processes; other += 1) {
      fork(__filename, ["worker", JSON.stringify({ ...options, processes: 1 })]);
    }
    // https://docs.bullmq.io/guide/workers/concurrency: the concurrency factor, for tasks that do not compute
    new Worker("bench", (job) => tasks[job.name](...job.data), { connection, concurrency: options.concurrency });
    return;
  }
  const queue = new Queue("bench", { connection });
  console.log(JSON.stringify((await verbs[verb](queue, options)) ?? null));
  await queue.close();
}

main(...process.argv.slice(2));
