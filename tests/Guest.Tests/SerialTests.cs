using System.IO.Pipes;
using System.Text;
using MicroVm;

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
        await using Machine machine = Machine.Create(Machines.Options("bytes", "600000") with
        {
            Serial = ConsoleEndpoint.Descriptors(-1, writeEnd), OutputPatience = TimeSpan.FromSeconds(1),
        });
        MachineResult end = await machine.RunAsync().WaitAsync(TimeSpan.FromSeconds(120));
        Assert.Equal(42, end.ExitCode);
        // All but what the pipe took.
        Assert.InRange(end.LostOutput, 600_000 - (128 << 10), 600_000);
    }

    [KvmFact]
    public async Task S1_ASlowReaderGetsTheEndOfTheOutput()
    {
        using AnonymousPipeServerStream pipe = new(PipeDirection.In);
        using SafeHandleCopy writeEnd = new(pipe.ClientSafePipeHandle);
        pipe.DisposeLocalCopyOfClientHandle();
        ConsoleEndpoint serial = ConsoleEndpoint.Descriptors(-1, writeEnd.Descriptor);
        MachineResult end;
        Task<byte[]> read;
        using (Machine machine = Machine.Create(Machines.Options("bytes", "300000") with { Serial = serial }))
        {
            read = Task.Run(async () =>
            {
                // Until long after the guest has ended; then a piece now and then, until the writer has gone.
                await Task.Delay(4000);
                using MemoryStream all = new();
                byte[] piece = new byte[20_000];
                while (await pipe.ReadAsync(piece) is var n and not 0)
                {
                    all.Write(piece, 0, n);
                    await Task.Delay(50);
                }
                return all.ToArray();
            });
            end = machine.Run();
        }
        writeEnd.Dispose();
        byte[] got = await read.WaitAsync(TimeSpan.FromSeconds(60));
        Assert.Equal((42, 0L), (end.ExitCode, end.LostOutput));
        Assert.Equal(300_000, got.Length);
    }

    [KvmFact]
    public async Task S1_AStreamThatIsReadAfterTheEndHasTheEndOfTheOutput()
    {
        Machine machine = Machine.Create(Machines.Options("bytes", "600000") with { Serial = ConsoleEndpoint.Stream });
        MachineResult end = await machine.RunAsync().WaitAsync(TimeSpan.FromSeconds(120));
        Stream stream = machine.SerialStream;
        machine.Dispose();
        using MemoryStream got = new();
        await stream.CopyToAsync(got).WaitAsync(TimeSpan.FromSeconds(10));
        Assert.Equal(600_000 - got.Length, end.LostOutput);
        Assert.Equal((byte)('A' + (600_000 - 1) % 26), got.ToArray()[^1]);
    }

    [KvmFact]
    public async Task S1_AStopEndsTheWaitForAReader()
    {
        using AnonymousPipeServerStream pipe = new(PipeDirection.In);
        int writeEnd = (int)pipe.ClientSafePipeHandle.DangerousGetHandle();
        await using Machine machine = Machine.Create(Machines.Options("bytes", "80000") with
        {
            Serial = ConsoleEndpoint.Descriptors(-1, writeEnd), OutputPatience = TimeSpan.FromHours(1),
        });
        Task<MachineResult> run = machine.RunAsync();
        Assert.True(SpinWait.SpinUntil(() => machine.Parts.End.Requested, TimeSpan.FromSeconds(60)));
        await Task.Delay(2500);
        Assert.False(run.IsCompleted);
        machine.Stop("enough");
        Assert.Equal(EndReason.GuestExit, (await run.WaitAsync(TimeSpan.FromSeconds(20))).Reason);
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
