declare module "virtual:heard-ko" {
  const pairs: [string, string][];
  export default pairs;
}
