/** `cordon serve` with real container engines. */
import { testEngines } from "../helpers/engines.ts";
import { program } from "../helpers/need.ts";
import { serveSuite } from "./serve_containers.ts";

testEngines((name) => `cordon serve with ${name}`, serveSuite, [program("unshare")]);
