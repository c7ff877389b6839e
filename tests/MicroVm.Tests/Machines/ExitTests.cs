using System.Runtime.InteropServices;
using MicroVm.Bus;
using MicroVm.Devices;
using MicroVm.Diagnostics;
using MicroVm.Interrupts;
using MicroVm.Kvm;
using MicroVm.Memory;
using MicroVm.Snapshot;
using MicroVm.Tests.Pci;
using Microsoft.Win32.SafeHandles;
using Xunit;

namespace MicroVm.Tests.Machines;

/// <summary>What a vCPU does with each way in which <c>KVM_RUN</c> may return. The page of <c>struct kvm_run</c> is a
/// file's, which the test writes as KVM would; no KVM is needed.</summary>
public sealed class ExitTests : IDisposable
{
    private const int PageSize = 4096, Reason = 8, Union = 32, Data = 0x800;
    private const int Enotty = 25;

    private readonly MachineEnd _end = new();
    private readonly AccessTrace _trace = new();
    private readonly AddressSpace _ports = new("pio"), _mmio = new("mmio");
    private readonly GuestMemory _memory = GuestMemory.Allocate(1 << 20, 1 << 20, 1ul << 32);
    private readonly SafeFileHandle _page;
    private readonly Vcpu _vcpu;
    private readonly List<string> _reports = [];

    private readonly IoApic _ioApic = new(new InterruptRouter(new FakeKvm(), 2), 2);
    private readonly bool _isLinux;

    public ExitTests() : this(isLinux: false)
    {
    }

    private ExitTests(bool isLinux)
    {
        _isLinux = isLinux;
        _page = MakePage();
        _ports.Add(MachineMap.Exit.Base, new ExitPort(_end));
        _ports.Add(MachineMap.Sleep.Base, new AcpiSleep(_end));
        _ports.Add(MachineMap.Keyboard.Base, new KeyboardReset(_end));
        _vcpu = MakeVcpu(0);
    }

    public void Dispose()
    {
        _vcpu.Dispose();
        _page.Dispose();
        _memory.Dispose();
    }

    [Theory]
    [InlineData(0u, 0x1234ul, "the processor left the guest for a reason that KVM does not know (0x1234)")]
    [InlineData(1u, 0ul, "KVM left the guest for a reason that this program does not know (exit 1)")]
    [InlineData(3u, 0ul, "KVM left the guest for a reason that this program does not know (exit 3)")]
    [InlineData(4u, 0ul, "KVM left the guest for a reason that this program does not know (exit 4)")]
    [InlineData(5u, 0ul, "KVM left the guest for a reason that this program does not know (exit 5)")]
    [InlineData(8u, 0ul, "triple fault")]
    [InlineData(9u, 0x8000_0021ul, "the processor refused to enter the guest (reason 0x80000021)")]
    [InlineData(9u, ulong.MaxValue, "the processor refused to enter the guest (reason 0xffffffffffffffff)")]
    [InlineData(17u, 1ul, "KVM could not emulate an instruction (internal error 1)")]
    [InlineData(17u, 2ul, "KVM could not go on (internal error 2)")]
    [InlineData(17u, 3ul, "KVM could not go on (internal error 3)")]
    [InlineData(17u, 4ul, "KVM could not go on (internal error 4)")]
    [InlineData(24u, 2ul, "system event 2")]
    [InlineData(1000u, 0ul, "KVM left the guest for a reason that this program does not know (exit 1000)")]
    [InlineData(99999u, 0ul, "KVM left the guest for a reason that this program does not know (exit 99999)")]
    public void C2_an_exit_that_nothing_can_be_done_about_has_a_name(uint reason, ulong detail, string name)
    {
        Exit(reason, detail);
        _vcpu.Handle(0);
        Ended($"the guest crashed: {name}", name);
    }

    // All numbers that Linux has, and as many that it may have one day.
    [Fact]
    public void C2_whatever_the_exit_the_machine_ends_by_name_or_goes_on_with_what_it_knows()
    {
        uint[] served = [2, 6, 10, 26]; // port, MMIO, interrupted, end of an interrupt of the I/O APIC
        for (uint reason = 0; reason < 100; reason++)
        {
            if (served.Contains(reason)) continue;
            using ExitTests fresh = new();
            fresh.Exit(reason, 0);
            fresh._vcpu.Handle(0);
            Assert.True(fresh._end.Requested, $"exit {reason} is tried again");
            MachineResult end = fresh._end.Outcome;
            Assert.StartsWith("the guest crashed: ", end.Description, StringComparison.Ordinal);
            Assert.Equal((EndReason.Crash, MachineResult.CrashedCode), (end.Reason, end.ExitCode));
            Assert.Single(fresh._reports);
        }
        foreach (uint reason in served)
        {
            using ExitTests fresh = new();
            fresh.Exit(reason, 0);
            fresh._vcpu.Handle(0);
            Assert.False(fresh._end.Requested, $"exit {reason} is the end");
        }
    }

    [Theory]
    [InlineData(Libc.EFAULT)]
    [InlineData(Libc.EHWPOISON)]
    [InlineData(Libc.EIO)] // of a machine that KVM has given up
    [InlineData(Libc.EINVAL)]
    [InlineData(Libc.ENOMEM)]
    [InlineData(Libc.EBADF)]
    [InlineData(Libc.EPERM)]
    [InlineData(int.MaxValue)]
    public void C2_an_error_of_KVM_RUN_ends_the_machine_with_the_error_s_words(int error)
    {
        Exit((uint)KvmAbi.ExitReason.Io, 0); // of the run before
        _vcpu.Handle(error);
        Ended($"the guest crashed: KVM_RUN: {Libc.Describe(error)}", $"KVM_RUN: {Libc.Describe(error)}");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(Libc.EFAULT)]
    [InlineData(Libc.EHWPOISON)]
    public void C2_a_memory_fault_says_where(int error)
    {
        Exit((uint)KvmAbi.ExitReason.MemoryFault, 0);
        Put(Union + 8, 0xd000_0000ul);
        Put(Union + 16, 0x1000ul);
        _vcpu.Handle(error);
        string name = "the host has no memory for 0xd0000000 to 0xd0001000";
        if (error != 0) name += $" (KVM_RUN: {Libc.Describe(error)})";
        Ended($"the guest crashed: {name}", name);
    }

    [Fact]
    public void C2_a_fault_that_is_mended_goes_on_and_one_that_is_not_ends_the_machine()
    {
        int asked = 0;
        _vcpu.Faulted = () => ++asked < 3;
        _vcpu.Handle(Libc.EFAULT);
        _vcpu.Handle(Libc.EFAULT);
        Assert.False(_end.Requested);
        _vcpu.Handle(Libc.EFAULT);
        Ended($"the guest crashed: KVM_RUN: {Libc.Describe(Libc.EFAULT)}", "KVM_RUN: ");
        Assert.Equal(3, asked);
    }

    // The loop itself: the file of the page is none of KVM's and refuses KVM_RUN.
    [Fact]
    public void C2_the_loop_does_not_enter_again_after_an_error()
    {
        Thread runs = new(_vcpu.Run);
        runs.Start();
        Assert.True(runs.Join(TimeSpan.FromSeconds(20)), "it tries again and again");
        Assert.Equal(1, _vcpu.Exits);
        Ended($"the guest crashed: KVM_RUN: {Libc.Describe(Enotty)}", "KVM_RUN: ");
    }

    [Fact]
    public void C2_where_KVM_gets_no_thread_of_its_own_it_is_the_host_that_refused()
    {
        MicroVmException e = Assert.Throws<MicroVmException>(() => _vcpu.Handle(Libc.EAGAIN));
        Assert.Equal(FailureKind.Host, e.Kind);
        Assert.Contains("ulimit -u", e.Remedy, StringComparison.Ordinal);
        // Another vCPU was woken from its wait for the start-up message.
        using Vcpu second = MakeVcpu(1);
        second.Handle(Libc.EAGAIN);
        Assert.False(_end.Requested);
    }

    [Fact]
    public void C2_the_report_has_the_last_accesses_also_where_KVM_gives_no_registers()
    {
        Exit((uint)KvmAbi.ExitReason.Mmio, 0xd000_0070);
        Put(Union + 16, 4u); // bytes
        _vcpu.Handle(0);
        Exit((uint)KvmAbi.ExitReason.FailEntry, 7);
        _vcpu.Handle(0);
        string report = _end.Outcome.CrashReport!;
        const string Begin = "vcpu0: the processor refused to enter the guest (reason 0x7)\nno registers (number 0: KVM_GET";
        Assert.StartsWith(Begin, report, StringComparison.Ordinal);
        Assert.Contains("last 1 accesses, oldest first:\n  vcpu0 ", report, StringComparison.Ordinal);
        Assert.Contains("0xd0000070", report, StringComparison.Ordinal);
    }

    [Fact]
    public void The_page_is_read_as_KVM_writes_it()
    {
        Exit((uint)KvmAbi.ExitReason.Mmio, 0xd000_0000);
        Put(Union + 16, 4u);
        _vcpu.Handle(0);
        Assert.Equal(uint.MaxValue, Get<uint>(Union + 8)); // nothing is there
        Out(MachineMap.Exit.Base, 42);
        _vcpu.Handle(0);
        Assert.Equal((EndReason.GuestExit, 42), (_end.Outcome.Reason, _end.Outcome.ExitCode));
        Assert.Equal(2, _vcpu.Exits);
    }

    public enum Pins { NeverUsed, InUse, ShutDown }

    // A restart that was meant, and one after a panic, which nothing else tells apart.
    [Theory]
    [InlineData(true, Pins.NeverUsed, EndReason.EmergencyRestart, EndReason.Crash)]
    [InlineData(true, Pins.InUse, EndReason.EmergencyRestart, EndReason.Crash)]
    [InlineData(true, Pins.ShutDown, EndReason.Reset, EndReason.Reset)]
    [InlineData(false, Pins.NeverUsed, EndReason.Reset, EndReason.Crash)]
    [InlineData(false, Pins.InUse, EndReason.Reset, EndReason.Crash)]
    [InlineData(false, Pins.ShutDown, EndReason.Reset, EndReason.Crash)]
    public void A_restart_is_told_from_a_panic_s_by_the_interrupt_controller(
        bool isLinux, Pins pins, EndReason reset, EndReason tripleFault)
    {
        Action<ExitTests>[] resets =
        [
            static t => t.Out(MachineMap.Sleep.Base + 2, AcpiSleepConst.ResetValue),
            static t => t.Out(MachineMap.Keyboard.Base, KeyboardResetConst.PulseReset),
        ];
        foreach (Action<ExitTests> ask in resets) End(ask, reset);
        End(static t => t.Exit((uint)KvmAbi.ExitReason.Shutdown, 0), tripleFault);

        void End(Action<ExitTests> how, EndReason expected)
        {
            using ExitTests fresh = new(isLinux);
            if (pins != Pins.NeverUsed) fresh.Pin(1, 0x31);
            if (pins == Pins.ShutDown) fresh.Pin(1, 0x1_0000);
            how(fresh);
            fresh._vcpu.Handle(0);
            Assert.True(fresh._end.Requested);
            MachineResult end = fresh._end.Outcome;
            Assert.Equal((expected, expected == EndReason.Reset ? 0 : MachineResult.CrashedCode), (end.Reason, end.ExitCode));
            Assert.Equal(expected != EndReason.Reset, end.CrashReport is not null);
        }
    }

    // Other commands of the keyboard controller's do nothing, and a driver that looks for it finds none.
    [Fact]
    public void The_keyboard_controller_takes_one_command()
    {
        for (int command = 0; command < 256; command++)
        {
            if (command == KeyboardResetConst.PulseReset) continue;
            Out(MachineMap.Keyboard.Base, command);
            _vcpu.Handle(0);
            Assert.False(_end.Requested);
        }
    }

    private void Pin(int pin, uint low)
    {
        Assert.Equal(IoStatus.Ok, _ioApic.Write(0, 4, 0x10u + (2u * (uint)pin)));
        Assert.Equal(IoStatus.Ok, _ioApic.Write(0x10, 4, low));
    }

    // One byte to a port, once.
    private void Out(int port, int value)
    {
        Exit((uint)KvmAbi.ExitReason.Io, 1 | 1u << 8 | (ulong)port << 16 | 1ul << 32);
        Put(Union + 8, (ulong)Data);
        Put(Data, (byte)value);
    }

    // The half of row C3 that the vCPU itself sees to: one that is in a device of this process does not enter again.
    [Fact]
    public void C3_a_stop_that_comes_while_a_vCPU_is_in_a_device_is_seen_before_it_enters_again()
    {
        using Slow device = new();
        _mmio.Add(0xd000_0000, device);
        Exit((uint)KvmAbi.ExitReason.Mmio, 0xd000_0000);
        Put(Union + 16, 4u);
        Thread runs = new(() =>
        {
            _vcpu.Handle(0);
            _vcpu.Run();
        });
        runs.Start();
        Assert.True(device.Entered.Wait(TimeSpan.FromSeconds(20)));
        _end.Set(new MachineResult(EndReason.Stopped, MachineResult.StoppedCode, "test", null));
        device.Leave.Set();
        Assert.True(runs.Join(TimeSpan.FromSeconds(20)));
        Assert.Equal((EndReason.Stopped, 1L), (_end.Outcome.Reason, _vcpu.Exits));
        Assert.Empty(_reports);
    }

    private void Ended(string description, string reported)
    {
        Assert.True(_end.Requested);
        MachineResult end = _end.Outcome;
        Assert.Equal((EndReason.Crash, MachineResult.CrashedCode), (end.Reason, end.ExitCode));
        Assert.Equal(description, end.Description);
        Assert.StartsWith($"vcpu0: {reported}", end.CrashReport, StringComparison.Ordinal);
        Assert.Single(_reports);
    }

    private void Exit(uint reason, ulong detail)
    {
        RandomAccess.Write(_page, new byte[64], Reason);
        Put(Reason, reason);
        Put(Union, detail);
    }

    private void Put<T>(int offset, T value) where T : unmanaged =>
        RandomAccess.Write(_page, MemoryMarshal.AsBytes([value]), offset);

    private T Get<T>(int offset) where T : unmanaged
    {
        Span<T> value = stackalloc T[1];
        RandomAccess.Read(_page, MemoryMarshal.AsBytes(value), offset);
        return value[0];
    }

    private Vcpu MakeVcpu(int id)
    {
        GuestErrors errors = new(null);
        AccessFormatter formatter = new(_ports, _mmio);
        // The vCPU closes its own.
        int descriptor = Libc.fcntl((int)_page.DangerousGetHandle(), Libc.F_DUPFD_CLOEXEC, Libc.FirstFreeDescriptor);
        GuestBus ports = new(_ports, _trace, errors, null), mmio = new(_mmio, _trace, errors, null);
        return new Vcpu(new KvmVcpu(id, descriptor, PageSize), ports, mmio, _ioApic, _isLinux, _end, Describe);

        string Describe(KvmVcpu vcpu, string why)
        {
            _reports.Add(why);
            return CrashReport.Write(vcpu, why, _memory, _trace, formatter);
        }
    }

    private sealed class Slow : IRegisterBlock, IDisposable
    {
        internal ManualResetEventSlim Entered { get; } = new();
        internal ManualResetEventSlim Leave { get; } = new();

        public BlockInfo Info => VirtioMmio.Catalog;
        public Lock Gate { get; } = new();

        public IoStatus Read(uint offset, int width, out ulong value)
        {
            value = 0;
            Entered.Set();
            Leave.Wait();
            return IoStatus.Ok;
        }

        public IoStatus Write(uint offset, int width, ulong value) => IoStatus.Ok;
        public void Save(ref SnapshotWriter writer) { }
        public void Load(ref SnapshotReader reader) { }

        public void Dispose()
        {
            Entered.Dispose();
            Leave.Dispose();
        }
    }

    private static unsafe SafeFileHandle MakePage()
    {
        int fd;
        fixed (byte* name = "kvm_run\0"u8) fd = Libc.memfd_create(name, Libc.MFD_CLOEXEC);
        SafeFileHandle file = new(fd, ownsHandle: true);
        RandomAccess.SetLength(file, PageSize);
        return file;
    }
}
