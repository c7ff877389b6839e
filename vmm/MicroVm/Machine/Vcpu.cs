using MicroVm.Bus;
using MicroVm.Devices;
using MicroVm.Diagnostics;
using MicroVm.Events;
using MicroVm.Kvm;

namespace MicroVm;

/// <summary>One vCPU: a thread that enters the guest, hands its accesses to the buses and leaves when the machine ends.</summary>
/// <remarks>Between two calls of <c>KVM_RUN</c> nothing is allocated and nothing waits for I/O.</remarks>
internal sealed class Vcpu(KvmVcpu kvm, GuestBus ports, GuestBus mmio, IoApic ioApic, bool isLinux, MachineEnd end,
    Func<KvmVcpu, string, string> describeCrash) : IDisposable
{
    private Thread? _thread;
    private volatile int _threadId;
    private RegisterLook? _look;
    private volatile bool _parked;

    internal KvmVcpu Kvm => kvm;

    private string Name => $"vcpu{kvm.Id}";

    /// <summary>Called on the vCPU's thread after a signal brought it out of the guest; the machine may not have ended. Set before it runs.</summary>
    internal Action? Interrupted { private get; set; }

    /// <summary>Looks for signals that came since this vCPU left the guest for good; on its thread.</summary>
    internal void ServeSignals() => Interrupted?.Invoke();

    /// <summary>Called on the vCPU's thread when the guest touched memory that the host cannot give; true if it can go on. Set before it runs.</summary>
    internal Func<bool>? Faulted { private get; set; }

    /// <summary>Exits to this process so far.</summary>
    internal long Exits { get; private set; }

    /// <summary>Starts a thread for this vCPU.</summary>
    /// <exception cref="MicroVmException">The host gives none.</exception>
    internal void Start() => _thread = HostThread.Start(Run, Name, end);

    /// <summary>Takes it out of the guest until <see cref="Unpark"/>; it then begins as after power-on. Not on its own thread.</summary>
    internal void Park()
    {
        _parked = true;
        Kick();
        Join();
        kvm.AwaitStartUp();
    }

    /// <summary>Runs it again, on a thread of its own.</summary>
    internal void Unpark()
    {
        kvm.WithdrawExit();
        _parked = false;
        Start();
    }

    /// <summary>Waits until the thread has left the guest for good.</summary>
    internal void Join() => _thread?.Join();

    /// <summary>Brings the vCPU out of the guest. The order matters: first the flag that the next entry sees, then the signal for the current one.</summary>
    internal void Kick()
    {
        kvm.RequestExit();
        int thread = _threadId;
        if (thread != 0 && thread != Libc.gettid()) KickSignal.Send(thread);
    }

    /// <summary>Runs the vCPU on the calling thread until the machine ends.</summary>
    internal void Run()
    {
        _threadId = Libc.gettid();
        try
        {
            while (!end.Requested && !_parked) Enter();
        }
        catch (Exception e)
        {
            // The first runs on its caller's thread, which has no owner.
            end.OnFailure(Name, e);
        }
        finally
        {
            _threadId = 0;
        }
    }

    private void Enter() => Handle(kvm.Run());

    /// <summary>Does what a return from <c>KVM_RUN</c> asks for; whatever it is, the guest goes on or the machine ends.</summary>
    /// <param name="error">0, and <see cref="KvmVcpu.Exit"/> says why it returned, or the error number.</param>
    internal void Handle(int error)
    {
        Exits++;
        if (error == 0) Handle(kvm.Exit);
        else if (error == Libc.EINTR) ComeOut();
        else if (error == Libc.EAGAIN) TryAgain();
        else if (!(error == Libc.EFAULT && Faulted?.Invoke() == true)) Crash(WhyNot(error, kvm.Exit));
    }

    // With these errors KVM may say where (Linux 6.8).
    private static string WhyNot(int error, KvmRun exit) => error is Libc.EFAULT or Libc.EHWPOISON && exit.Reason == KvmAbi.ExitReason.MemoryFault
        ? $"{MemoryFault(exit)} (KVM_RUN: {Libc.Describe(error)})" : $"KVM_RUN: {Libc.Describe(error)}";

    private static string MemoryFault(KvmRun exit) => $"the host has no memory for 0x{exit.FaultAddress:x} to 0x{exit.FaultAddress + exit.FaultLength:x}";

    // One that waited for the guest's start-up message was woken. The first never waits for one: KVM wanted a thread of its own for the machine, and got none.
    private void TryAgain()
    {
        if (kvm.Id == 0) throw MicroVmException.Host("KVM cannot start the machine", $"KVM_RUN: {Libc.Describe(Libc.EAGAIN)}", "Raise the limit of processes (ulimit -u, pids.max)");
    }

    // What wanted it out is done with before it looks whether the machine has ended: a wish for the end that is withdrawn here is seen there.
    private void ComeOut()
    {
        if (Interlocked.Exchange(ref _look, null) is { } look)
        {
            kvm.WithdrawExit();
            look.Take(kvm);
        }
        else if (!end.Requested && !_parked)
        {
            // Nothing here wanted it out: the process was stopped (SIGSTOP, a debugger, a frozen cgroup) and goes on.
            kvm.ReportPause();
        }
        Interrupted?.Invoke();
    }

    /// <summary>Control registers as the guest has them now, from any thread: the vCPU is brought out of the guest for the time of one system call, and goes on.</summary>
    /// <exception cref="MicroVmException">It did not come out in a second.</exception>
    internal KvmAbi.SystemRegisters LookAtRegisters()
    {
        RegisterLook look = new();
        Interlocked.Exchange(ref _look, look);
        Kick();
        // Where nobody runs it, or no more, KVM answers at once; one that begins meanwhile comes out at once, as the request stands.
        return look.Wait(() => { if (_threadId == 0) look.Take(kvm); }) ?? throw MicroVmException.Host("the vCPU does not come out of the guest", $"vcpu{kvm.Id}", "Try again; see whether the host is overloaded");
    }

    private void Handle(KvmRun exit)
    {
        switch (exit.Reason)
        {
            case KvmAbi.ExitReason.Io: HandlePort(exit); break;
            case KvmAbi.ExitReason.Mmio: HandleMmio(exit); break;
            case KvmAbi.ExitReason.IoApicEoi: ioApic.EndOfInterruptFor(exit.EoiVector); break;
            case KvmAbi.ExitReason.Intr: break;
            case KvmAbi.ExitReason.Shutdown: TripleFault(); break;
            case KvmAbi.ExitReason.InternalError: Crash($"KVM could not {(exit.InternalSuberror == KvmAbi.NoEmulation ? "emulate an instruction" : "go on")} (internal error {exit.InternalSuberror})"); break;
            case KvmAbi.ExitReason.FailEntry: Crash($"the processor refused to enter the guest (reason 0x{exit.HardwareReason:x})"); break;
            case KvmAbi.ExitReason.SystemEvent: Crash($"system event {exit.SystemEventType}"); break;
            case KvmAbi.ExitReason.MemoryFault: Crash(MemoryFault(exit)); break;
            case KvmAbi.ExitReason.Unknown: Crash($"the processor left the guest for a reason that KVM does not know (0x{exit.HardwareReason:x})"); break;
            default: Crash($"KVM left the guest for a reason that this program does not know (exit {(uint)exit.Reason})"); break;
        }
    }

    private void HandlePort(KvmRun exit)
    {
        (ushort port, int width) = (exit.IoPort, exit.IoWidth);
        // More than one item: a string instruction.
        for (uint i = 0; i < exit.IoCount; i++)
        {
            if (exit.IoIsWrite) ports.Write(kvm.Id, port, width, exit.LoadIo(i));
            else exit.StoreIo(i, ports.Read(kvm.Id, port, width));
        }
        if (end.Panicked) End(EndReason.Panic, "the guest's kernel panicked", "kernel panic");
        else if (end.ResetAsked) Restart();
    }

    private void HandleMmio(KvmRun exit)
    {
        if (exit.MmioIsWrite) mmio.Write(kvm.Id, exit.MmioAddress, exit.MmioWidth, exit.MmioValue);
        else exit.MmioValue = mmio.Read(kvm.Id, exit.MmioAddress, exit.MmioWidth);
    }

    // Other kernels restart as they like; a Linux that has not shut its devices down did not mean to.
    private void Restart()
    {
        if (!isLinux || ioApic.IsShutDown) end.Set(Orderly());
        else End(EndReason.EmergencyRestart, "the guest's kernel restarted without a shutdown, as after a panic",
            "emergency restart");
    }

    // The last of Linux's ways to restart (reboot=t), and of the others where their hardware is missing.
    private void TripleFault()
    {
        if (isLinux && ioApic.IsShutDown) end.Set(Orderly());
        else Crash("triple fault");
    }

    private static MachineResult Orderly() => new(EndReason.Reset, 0, "the guest asked for a reset", null);

    private void Crash(string why) => End(EndReason.Crash, $"the guest crashed: {why}", why);

    private void End(EndReason reason, string description, string why) =>
        end.Set(new MachineResult(reason, MachineResult.CrashedCode, description, describeCrash(kvm, why)));

    public void Dispose() => kvm.Dispose();
}
