using System.IO.Pipes;
using System.Text;
using MicroVm;
using MicroVm.Events;

namespace Guest.Tests;

/// <summary>Serial output to readers of every kind.</summary>
public sealed class SerialTests
{
    [KvmFact]
    public async Task EveryByteReachesAReader()
    {
        await using Machine machine = Machine.Create(Machines.Options("bytes", "20000") with { Serial = ConsoleEndpoint.Stream });
        Task<MachineResult> run = machine.RunAsync();
        using StreamReader reader = new(machine.SerialStream, Encoding.ASCII);
        string text = await reader.ReadToEndAsync();
        Assert.Equal(42, (await run).ExitCode);
        Assert.Equal(20000, text.Length);
        for (int i = 0; i < text.Length; i++) Assert.Equal((char)('A' + i % 26), text[i]);
    }

    [KvmFact]
    public async Task S1_AReaderThatDoesNotReadCostsOutputAndNotTime()
    {
        using AnonymousPipeServerStream pipe = new(PipeDirection.In);
        int writeEnd = (int)pipe.ClientSafePipeHandle.DangerousGetHandle();
        await using Machine machine = Machine.Create(Machines.Options("bytes", "600000") with { Serial = ConsoleEndpoint.Descriptors(-1, writeEnd) });
        MachineResult end = await machine.RunAsync().WaitAsync(TimeSpan.FromSeconds(120));
        Assert.Equal(42, end.ExitCode);
        Assert.True(((OutputPump)machine.Parts.Serial!.Output).Dropped > 0);
    }

    [KvmFact]
    public void S1_AClosedReaderIsSurvived()
    {
        AnonymousPipeServerStream pipe = new(PipeDirection.In);
        using SafeHandleCopy writeEnd = new(pipe.ClientSafePipeHandle);
        pipe.Dispose();
        MachineResult end = Machines.Run(Machines.Options("bytes", "2000") with { Serial = ConsoleEndpoint.Descriptors(-1, writeEnd.Descriptor) });
        Assert.Equal(42, end.ExitCode);
    }

    [KvmFact]
    public void OutputGoesToAFile()
    {
        string path = Path.GetTempFileName();
        try
        {
            Assert.Equal(42, Machines.Run(Machines.Options("bytes", "100") with { Serial = ConsoleEndpoint.File(path) }).ExitCode);
            Assert.Equal(100, new FileInfo(path).Length);
        }
        finally
        {
            File.Delete(path);
        }
    }

    // The write end outlives the pipe's own object.
    private sealed class SafeHandleCopy : IDisposable
    {
        private readonly MicroVm.Kvm.HostFile _file;

        internal SafeHandleCopy(Microsoft.Win32.SafeHandles.SafePipeHandle handle) =>
            _file = MicroVm.Kvm.HostFile.TryOpen($"/proc/self/fd/{handle.DangerousGetHandle()}", MicroVm.Kvm.Libc.O_WRONLY, out _)!;

        internal int Descriptor => _file.Descriptor;

        public void Dispose() => _file.Dispose();
    }
}
