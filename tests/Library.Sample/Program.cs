// Two machines at once in one process: library-sample KERNEL [INITRD [COMMAND LINE]]
using MicroVm;

MachineOptions options = new() { Kernel = args[0], Initrd = args.ElementAtOrDefault(1), CommandLine = args.ElementAtOrDefault(2) ?? "console=ttyS0", Serial = ConsoleEndpoint.Stream };
try
{
    int[] codes = await Task.WhenAll(Boot("a", options), Boot("b", options));
    Console.WriteLine($"exit codes {codes[0]} and {codes[1]}");
    return codes.Max();
}
catch (MicroVmException e)
{
    Console.Error.WriteLine($"sample: {e.Kind}: {e.What}, {e.Where}. {e.Remedy}");
    return (int)e.Kind;
}

static async Task<int> Boot(string name, MachineOptions options)
{
    await using Machine machine = Machine.Create(options);
    Task<MachineResult> run = machine.RunAsync();
    using StreamReader console = new(machine.SerialStream);
    while (await console.ReadLineAsync() is { } line) Console.WriteLine($"{name}: {line}");
    MachineResult end = await run;
    Console.WriteLine($"{name} ended: {end.Description}");
    return end.ExitCode;
}
