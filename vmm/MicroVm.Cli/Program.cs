using MicroVm.Diagnostics;
using MicroVm.Kvm;

namespace MicroVm.Cli;

internal static class Program
{
    private static int Main(string[] args)
    {
        Timeline.Mark("main");
        HostProcess.FillStandardDescriptors();
        AppDomain.CurrentDomain.UnhandledException += static (_, e) => Failure.Die((Exception)e.ExceptionObject);
        try
        {
            return Commands.Dispatch(args);
        }
        catch (Exception e)
        {
            Terminal.Restore();
            return Failure.Report(e);
        }
        finally
        {
            Terminal.Restore();
        }
    }
}
